/**
 * The rotation of one log: the full file gets the next number in its name, and an empty one takes its place. The old name is never without a
 * file, and no file that somebody else put there is overwritten: a second name is made by link(2), which refuses a name that exists, and the
 * empty file is made beside and renamed over the old name (rename(2) replaces it in one step). Number and inode are recorded before the
 * second name is made, and before anything is put beside, so that whoever comes after a host that died knows which files are the log's. Safe to try again.
 */
import { constants } from "node:fs";
import { type FileHandle, link, open, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { is_errno } from "../contract/errors.ts";
import { segment_path } from "../contract/segments.ts";
import { type At, in_directory, open_in_place, what_stands_at } from "../drivers/in-place.ts";
import { crash_point } from "../faults/crash-point.ts";

const NEW = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const RECORD = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;

export interface Rotated {
  /** The new file, which has the log's own name now. */
  handle: FileHandle;
  /** What the full file got; null when there was none any more (the agent removed its own log). */
  number: number | null;
}

/** Rotates the log at `path`. `first` is the first number that may be free, `record` where parts are recorded. */
export function rotate(path: string, first: number, record: string): Promise<Rotated> {
  return in_directory(dirname(path), async (at) => {
    const name = basename(path);
    const beside = at(`${name}.new`);
    // First, so that there is nothing beside a log of which no part is recorded: whoever comes after us can tell whose it is.
    const number = await give_number(at, path, first, record);
    await rm(beside, { force: true });
    const handle = await open(beside, NEW, 0o600);
    crash_point("host.part_begun");
    try {
      await rename(beside, at(name));
      crash_point("host.part_replaced");
      return { handle, number };
    } catch (error) {
      await handle.close();
      await rm(beside, { force: true });
      throw error;
    }
  });
}

/** Names that are taken are passed by: whatever stands there is not this log's; unless a try before this one made it. */
async function give_number(at: At, path: string, first: number, record: string): Promise<number | null> {
  const log = await what_stands_at(at(basename(path)));
  if (!log) return null;
  for (let number = first; ; number++) {
    const name = at(basename(segment_path(path, number)));
    const taken = await what_stands_at(name);
    if (taken && taken.ino === log.ino && taken.dev === log.dev) return number;
    if (taken) continue;
    await note_part(record, { path, number, ino: log.ino, dev: log.dev });
    crash_point("host.part_recorded");
    try {
      await link(at(basename(path)), name);
      crash_point("host.part_named");
      return number;
    } catch (error) {
      if (is_errno(error, "ENOENT")) return null;
      if (!is_errno(error, "EEXIST")) throw error;
    }
  }
}

async function note_part(record: string, part: { path: string; number: number; ino: number; dev: number }) {
  const file = await open_in_place(record, RECORD, 0o600);
  try {
    // A line that an earlier try left half written must not spoil this one.
    await file.appendFile(`\n${JSON.stringify(part)}\n`);
    await file.datasync();
  } finally {
    await file.close();
  }
}
