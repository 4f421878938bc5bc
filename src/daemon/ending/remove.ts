/** Removes what is proven to be free: deletes it, or archives it. Whatever is held or unknown stays in trash, deferred. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Ending, SetAsideFile } from "../../contract/agent.ts";
import { is_errno, message_of } from "../../contract/errors.ts";
import { archive_dir } from "../../contract/paths.ts";
import type { CleanupReport } from "../../contract/receipt.ts";
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
        });
      } else if (ending.cleanup === "archive") {
        result.bytes_freed += file.bytes - (await archive_file(dir, file));
        result.files_archived.push(archived_path(dir, file.path));
      } else {
        await rm(file.trash_path, { force: true });
        result.files_deleted.push(file.path);
        result.bytes_freed += file.bytes;
      }
    } catch (error) {
      result.files_failed.push({ path: file.trash_path, error: message_of(error) });
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
  await mkdir(archive_dir(dir), { recursive: true, mode: 0o700 });
  try {
    await pipeline(
      createReadStream(file.trash_path),
      createGzip(),
      createWriteStream(`${target}.new`, { mode: 0o600 }),
    );
  } catch (error) {
    // Archived before a restart: the original is gone, the archive is there.
    if (is_errno(error, "ENOENT")) return (await stat(target)).size;
    throw error;
  }
  const handle = await open(`${target}.new`, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${target}.new`, target);
  await rm(file.trash_path, { force: true });
  return (await stat(target)).size;
}
