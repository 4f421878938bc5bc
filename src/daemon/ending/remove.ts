/**
 * Removes what is proven to be free: deletes it, or archives it. Whatever is held or unknown stays in trash, deferred; so does what could not be
 * removed or archived now (a full disk, a read error, a file system that is read-only): the original is kept, and the sweeper tries again.
 */
import { constants } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Ending, SetAsideFile } from "../../contract/agent.ts";
import { errno_of, is_errno, trouble } from "../../contract/errors.ts";
import { archive_dir } from "../../contract/paths.ts";
import type { CleanupReport } from "../../contract/receipt.ts";
import { in_directory, open_in_place, remove_in_place } from "../../drivers/in-place.ts";
import type { FileVerdict } from "../verifier.ts";

export type RemovedFiles = Pick<
  CleanupReport,
  "files_deleted" | "files_archived" | "files_kept" | "files_deferred" | "files_failed" | "bytes_freed" | "handles"
>;

export async function remove_files(
  dir: string,
  ending: Ending,
  verdicts: readonly FileVerdict[],
): Promise<RemovedFiles> {
  const result: RemovedFiles = {
    files_deleted: [],
    files_archived: [],
    files_kept: [],
    files_deferred: [],
    files_failed: [...ending.files_failed],
    bytes_freed: 0,
    handles: overall(verdicts),
  };
  for (const [index, file] of ending.set_aside.entries()) {
    const found = verdicts[index] as FileVerdict;
    try {
      if (ending.cleanup === "keep") result.files_kept.push(file.path);
      else if (found.verdict !== "clear") {
        result.files_deferred.push({
          path: file.path,
          trash_path: file.trash_path,
          verdict: found.verdict,
          holders: found.holders,
          reason: found.reason,
        });
      } else if (ending.cleanup === "archive") {
        result.bytes_freed += file.bytes - (await archive_file(dir, file));
        result.files_archived.push(archived_path(dir, file.path));
      } else {
        await remove_in_place(file.trash_path);
        result.files_deleted.push(file.path);
        result.bytes_freed += file.bytes;
      }
    } catch (error) {
      const what = ending.cleanup === "archive" ? "archived" : "removed";
      result.files_deferred.push({
        path: file.path,
        trash_path: file.trash_path,
        verdict: "clear",
        holders: [],
        reason: `it could not be ${what} (${trouble(error)}) and is kept; this is tried again`,
      });
    }
  }
  result.bytes_freed = Math.max(0, result.bytes_freed);
  return result;
}

/** The worst verdict of all: one held file makes the whole held, one unknown makes it unknown unless another is held. */
export function overall(verdicts: readonly FileVerdict[]): CleanupReport["handles"] {
  if (verdicts.some((one) => one.verdict === "held")) return "held";
  return verdicts.some((one) => one.verdict === "unknown") ? "unknown" : "clear";
}

/** Where a tracked file goes when it is archived. */
export const archived_path = (dir: string, path: string) => join(archive_dir(dir), `${basename(path)}.gz`);

/** Compresses beside, syncs, renames, and only then removes the original. Returns the compressed size. Safe to run again. */
async function archive_file(dir: string, file: SetAsideFile): Promise<number> {
  const target = archived_path(dir, file.path);
  const beside = `${target}.new`;
  try {
    await make_folder(archive_dir(dir));
    await compress(file.trash_path, beside);
    await in_directory(archive_dir(dir), (at) => rename(at(basename(beside)), at(basename(target))));
  } catch (error) {
    // Half an archive takes room and is of no use to anybody.
    await remove_in_place(beside).catch((again) => {
      // What could not be written may not be removable either; the next try writes over it.
      if (errno_of(again) === undefined) throw again;
    });
    // Archived before a restart: the original is gone, the archive is there.
    if (is_errno(error, "ENOENT")) return (await stat(target)).size;
    throw error;
  }
  await remove_in_place(file.trash_path);
  return (await stat(target)).size;
}

/** Neither read nor written through a link. The copy is on the disk when this resolves. */
async function compress(from: string, to: string): Promise<void> {
  await remove_in_place(to);
  const original = (await open_in_place(from, constants.O_RDONLY)).createReadStream();
  // From here on the streams close their files, also when the pipeline fails.
  const copy = await open_in_place(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600).catch(
    (error) => {
      original.destroy();
      throw error;
    },
  );
  await pipeline(original, createGzip(), copy.createWriteStream({ flush: true }));
}

async function make_folder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error) => {
    if (!is_errno(error, "EEXIST")) throw error;
  });
}
