/**
 * Renames the tracked files into trash: from here nobody new can open them by name. Only what is proven to be a file of ours
 * is touched: a regular file, at its own place, inside the task's real directory.
 */
import { mkdir, realpath, rename } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import type { AgentRecord, Ending, SetAsideFile } from "../../contract/agent.ts";
import { is_errno, is_used_up, message_of } from "../../contract/errors.ts";
import { own_trash_dir, trash_dir } from "../../contract/paths.ts";
import { in_directory, what_stands_at } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";

/**
 * Fills `ending.set_aside`. Running it again finds in trash what it had already moved, and keeps what an earlier run has on record: a
 * file of the list that is not in trash any more was removed by that run, and belongs in the receipt.
 */
export async function set_aside(dir: string, agent: AgentRecord, ending: Ending): Promise<void> {
  const recorded = ending.cleanup === "keep" ? [] : ending.set_aside;
  ending.set_aside = [];
  ending.files_failed = [];
  for (const [role, path] of Object.entries(agent.tracked_files)) {
    const known = recorded.filter((one) => one.role === role);
    ending.set_aside.push(...known);
    try {
      const there = await looked_at(dir, path);
      const file = there.bytes === null ? null : { role, path, trash_path: path, bytes: there.bytes };
      if (there.refused) ending.files_failed.push({ path, error: there.refused });
      else if (ending.cleanup === "keep") ending.set_aside.push(...(file ? [file] : []));
      else {
        await find_moved(dir, role, path, ending.set_aside);
        if (file) await move(dir, file, ending.set_aside);
      }
    } catch (error) {
      // It passes, and the end is tried again: a file that was left for want of a descriptor would be left for ever.
      if (is_used_up(error)) throw error;
      ending.files_failed.push({ path, error: message_of(error) });
    }
  }
}

const is_listed = (list: readonly SetAsideFile[], place: string) => list.some((one) => one.trash_path === place);
const places_for = (dir: string, path: string) => [join(trash_dir(dir), basename(path)), beside(path)] as const;

/** Moved before a crash that came before the list was on disk. */
async function find_moved(dir: string, role: string, path: string, list: SetAsideFile[]): Promise<void> {
  for (const place of places_for(dir, path)) {
    const facts = is_listed(list, place) ? null : await what_stands_at(place);
    if (facts) list.push({ role, path, trash_path: place, bytes: facts.size });
  }
}

async function move(dir: string, file: SetAsideFile, list: SetAsideFile[]): Promise<void> {
  const trash_path = await rename_to_one_of(file.path, places_for(dir, file.path), (place) => is_listed(list, place));
  crash_point("end.file_moved");
  list.push({ ...file, trash_path });
}

/**
 * Where a file goes that cannot be renamed into trash, because its directory, or trash, is a mount of its own (rename(2), EXDEV). A copy would
 * take room, and lose what a holder still writes: so it goes into a trash on its own file system.
 */
const beside = (path: string) => join(own_trash_dir(dirname(path)), basename(path));

async function rename_to_one_of(
  path: string,
  [in_trash, at_home]: readonly [string, string],
  listed: (place: string) => boolean,
): Promise<string> {
  // Made anew after the first was moved (by a process that escaped): the first must not be overwritten.
  const unused = (place: string) => {
    let name = place;
    for (let count = 1; listed(name); count++) name = `${place}.${count}`;
    return name;
  };
  const place = unused(in_trash);
  try {
    await rename_in_place(path, place);
    return place;
  } catch (error) {
    if (!is_errno(error, "EXDEV")) throw error;
  }
  const other = unused(at_home);
  await mkdir(dirname(other), { mode: 0o700 }).catch((error) => {
    if (!is_errno(error, "EEXIST")) throw error;
  });
  await rename_in_place(path, other);
  return other;
}

/** Both directories are looked at again, open: since `refusal` looked, a link may have come into the place of one. */
function rename_in_place(path: string, place: string): Promise<void> {
  return in_directory(dirname(path), (from) =>
    in_directory(dirname(place), (to) => rename(from(basename(path)), to(basename(place)))),
  );
}

/** What is at a path: why it is left alone, or its size; null when nothing is there. */
async function looked_at(dir: string, path: string): Promise<{ refused: string | null; bytes: number | null }> {
  const refuse = (refused: string) => ({ refused, bytes: null });
  if (!path.startsWith(dir + sep)) return refuse("it is outside the task's directory and was left alone");
  const parent = await realpath(dirname(path)).catch((error) =>
    is_errno(error, "ENOENT") ? null : Promise.reject(error),
  );
  if (parent !== null && parent !== dirname(path))
    return refuse(`${dirname(path)} is not the directory it was (it leads to another place); the file was left alone`);
  if ((await realpath(trash_dir(dir))) !== trash_dir(dir))
    return refuse("the trash directory leads to another place; the file was left alone");
  const facts = await what_stands_at(path);
  if (facts && !facts.isFile()) return refuse("it is not a regular file any more and was left alone");
  return { refused: null, bytes: facts?.size ?? null };
}
