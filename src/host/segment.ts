/**
 * The rotation of one log: the full file gets the next number in its name, and an empty one takes its place. The old name is never without a
 * file, and no file that somebody else put there is overwritten: a second name is made by link(2), which refuses a name that exists, and the
 * empty file is made beside and renamed over the old name (rename(2) replaces it in one step). A host that dies in between leaves one file with
 * two names, which the daemon knows by its inode.
 */
import { constants } from "node:fs";
import { type FileHandle, link, open, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { is_errno } from "../contract/errors.ts";
import { segment_path } from "../contract/segments.ts";
import { in_directory } from "../drivers/in-place.ts";

const NEW = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Rotates `path`. `number` is the first that may be free. Resolves with the new file, and the number that the old one got; rejects with nothing changed, or only with the second name made. */
export function rotate(path: string, number: number): Promise<{ handle: FileHandle; number: number }> {
  return in_directory(dirname(path), async (at) => {
    const name = basename(path);
    const beside = at(`${name}.new`);
    await rm(beside, { force: true });
    const handle = await open(beside, NEW, 0o600);
    try {
      const given = await give_number(at, path, number);
      await rename(beside, at(name));
      return { handle, number: given };
    } catch (error) {
      await handle.close();
      await rm(beside, { force: true });
      throw error;
    }
  });
}

/** Names that are taken are passed by: whatever stands there is not this log's. */
async function give_number(at: (name: string) => string, path: string, first: number): Promise<number> {
  for (let number = first; ; number++) {
    try {
      await link(at(basename(path)), at(basename(segment_path(path, number))));
      return number;
    } catch (error) {
      // The agent removed its own log: there is nothing to keep, and a new one begins.
      if (is_errno(error, "ENOENT")) return number - 1;
      if (!is_errno(error, "EEXIST")) throw error;
    }
  }
}
