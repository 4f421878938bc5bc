/** Archives: a compressed copy beside, synced, renamed; only then is the original removed. Nothing is read or written through a link. */
import { constants } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { SetAsideFile } from "../../contract/agent.ts";
import { errno_of, is_errno } from "../../contract/errors.ts";
import { archive_dir } from "../../contract/paths.ts";
import { in_directory, open_in_place, remove_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";

/** Where a tracked file goes when it is archived. */
export const archived_path = (dir: string, path: string) => join(archive_dir(dir), `${basename(path)}.gz`);
/** Where its copy is made. */
export const unfinished_archive = (dir: string, path: string) => `${archived_path(dir, path)}.new`;

/** Archives a file that was set aside. Returns the compressed size in bytes. Safe to run again: what a crash left undone is done. */
export async function archive_file(dir: string, file: SetAsideFile): Promise<number> {
  const target = archived_path(dir, file.trash_path);
  await mkdir(archive_dir(dir), { mode: 0o700 }).catch((error) => {
    if (!is_errno(error, "EEXIST")) throw error;
  });
  const beside = unfinished_archive(dir, file.trash_path);
  try {
    if (!(await compress(file.trash_path, beside))) return (await stat(target)).size;
    crash_point("end.file_copied");
    await in_directory(archive_dir(dir), (at) => rename(at(basename(beside)), at(basename(target))));
  } catch (error) {
    // A copy that is not whole only takes room, which may be what was missing.
    await remove_in_place(beside).catch((again) => {
      // What could not be written may not be removable either; the next try writes over it.
      if (errno_of(again) === undefined) throw again;
    });
    throw error;
  }
  crash_point("end.file_archived");
  await remove_in_place(file.trash_path);
  return (await stat(target)).size;
}

/** False when the original is not there: it was archived before a restart. The copy is on the disk when this resolves. */
async function compress(from: string, to: string): Promise<boolean> {
  const source = await open_in_place(from, constants.O_RDONLY).catch((error) => {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  });
  if (!source) return false;
  // From here on the streams close their files, also when the pipeline fails.
  const original = source.createReadStream();
  const fresh = async () => {
    await remove_in_place(to);
    return open_in_place(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  };
  const copy = await fresh().catch((error) => {
    original.destroy();
    throw error;
  });
  await pipeline(original, createGzip(), copy.createWriteStream({ flush: true }));
  return true;
}
