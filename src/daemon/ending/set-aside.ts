/**
 * Renames the tracked files into trash: from here nobody new can open them by name. Only what is proven to be a file of ours
 * is touched: a regular file, at its own place, inside the task's real directory.
 */
import { lstat, realpath, rename } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import { is_errno, message_of } from "../../contract/errors.ts";
import { trash_dir } from "../../contract/paths.ts";

/** Fills `ending.set_aside`. Running it again finds in trash what it had already moved. */
export async function set_aside(dir: string, agent: AgentRecord, ending: Ending): Promise<void> {
  ending.set_aside = [];
  ending.files_failed = [];
  for (const [role, path] of Object.entries(agent.tracked_files)) {
    try {
      const at = ending.cleanup === "keep" ? path : join(trash_dir(dir), basename(path));
      const refused = await refusal(dir, path);
      if (refused) {
        ending.files_failed.push({ path, error: refused });
        continue;
      }
      const moved = await size_of(at);
      const here = await size_of(path);
      if (here !== null && at !== path) await rename(path, at);
      const bytes = here ?? moved;
      if (bytes !== null) ending.set_aside.push({ role, path, trash_path: at, bytes });
    } catch (error) {
      ending.files_failed.push({ path, error: message_of(error) });
    }
  }
}

/** Why a path is left alone, or null. */
async function refusal(dir: string, path: string): Promise<string | null> {
  if (!path.startsWith(dir + sep)) return "it is outside the task's directory and was left alone";
  const parent = await realpath(dirname(path)).catch((error) =>
    is_errno(error, "ENOENT") ? null : Promise.reject(error),
  );
  if (parent !== null && parent !== dirname(path))
    return `${dirname(path)} is not the directory it was (it leads to another place); the file was left alone`;
  if ((await realpath(trash_dir(dir))) !== trash_dir(dir))
    return "the trash directory leads to another place; the file was left alone";
  const facts = await lstat(path).catch((error) => (is_errno(error, "ENOENT") ? null : Promise.reject(error)));
  if (facts && !facts.isFile()) return "it is not a regular file any more and was left alone";
  return null;
}

async function size_of(path: string): Promise<number | null> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}
