/**
 * Removes what is proven to be free: deletes it, or archives it. Whatever is held or unknown stays in trash, deferred; so does what could not be
 * removed or archived now (a full disk, a read error, a file system that is read-only): the original is kept, and the sweeper tries again.
 * The list in `ending.set_aside` is on disk before anything is removed. A run that is repeated after a crash therefore knows of every
 * file, and a listed file that is not in trash any more is one that the run before had dealt with: it is named and counted here.
 */
import type { Ending, SetAsideFile } from "../../contract/agent.ts";
import { trouble } from "../../contract/errors.ts";
import type { CleanupReport } from "../../contract/receipt.ts";
import { remove_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";
import type { FileVerdict } from "../verdict.ts";
import { archive_file, archived_path } from "./archive.ts";

export type RemovedFiles = Pick<
  CleanupReport,
  "files_deleted" | "files_archived" | "files_kept" | "files_deferred" | "files_failed" | "bytes_freed" | "handles"
>;

type Judged = Omit<FileVerdict, "id">;

export async function remove_files(dir: string, ending: Ending, verdicts: readonly Judged[]): Promise<RemovedFiles> {
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
    const found = verdicts[index] as Judged;
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
      } else await remove_file(dir, ending, file, result);
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
  return result;
}

async function remove_file(dir: string, ending: Ending, file: SetAsideFile, result: RemovedFiles): Promise<void> {
  if (ending.cleanup === "archive") {
    // A small file may grow by being compressed; it frees nothing then.
    result.bytes_freed += Math.max(0, file.bytes - (await archive_file(dir, file)));
    result.files_archived.push(archived_path(dir, file.trash_path));
  } else {
    await remove_in_place(file.trash_path);
    result.bytes_freed += file.bytes;
    result.files_deleted.push(file.path);
  }
  crash_point("end.file_removed");
}

/** The worst verdict of all: one held file makes the whole held, one unknown makes it unknown unless another is held. */
function overall(verdicts: readonly Judged[]): CleanupReport["handles"] {
  if (verdicts.some((one) => one.verdict === "held")) return "held";
  return verdicts.some((one) => one.verdict === "unknown") ? "unknown" : "clear";
}
