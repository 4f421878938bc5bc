/** How much room there is. A file system that does not answer is asked by one call at a time, and nobody waits for it beyond the deadline. */
import { statfs } from "node:fs/promises";
import { Lane, no_answer, within } from "./patience.ts";

/** The file system is asked by one call at a time: one that hangs must not hold more of Node's threads. */
const DISK = new Lane(1);

/** Free bytes for who is not root, and all, on the file system of a directory; null when it does not answer. */
export async function disk_space(dir: string): Promise<{ free: number; size: number } | null> {
  if (DISK.stuck) return null;
  try {
    const { bavail, blocks, bsize } = await within(
      DISK.in_turn(() => statfs(dir)),
      () => no_answer(dir, "its free space is not known"),
    );
    return { free: bavail * bsize, size: blocks * bsize };
  } catch {
    // Any failure means the same here: nobody can tell.
    return null;
  }
}
