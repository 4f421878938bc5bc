/** A file that is read may be moved at any moment: rotated, set aside, archived, removed with its time. Whoever reads looks for it anew. */
import { basename } from "node:path";
import { is_errno, SupervisorError } from "../../contract/errors.ts";

/** How often a file is looked for anew: each move is a step of one end or one sweep, so that more than a few in a row are somebody's play. */
export const LOOKS = 5;

/** It was moved while it was read, or each time between the look and the opening. */
export class Moved extends SupervisorError {
  constructor(path: string, options?: { cause?: unknown }) {
    super("log_not_found", `${basename(path)} was moved while it was read; ask again`, options);
  }
}

/** True when the file is not where it was found: it may be somewhere else. */
export const was_moved = (error: unknown) => error instanceof Moved || is_errno(error, "ENOENT");

/** Does it, anew from the beginning when a file was moved meanwhile. Rejects with `Moved` (`log_not_found`) after some times, never with a bare ENOENT. */
export async function despite_moves<T>(path: string, work: () => Promise<T>): Promise<T> {
  for (let look = 1; ; look++) {
    try {
      return await work();
    } catch (error) {
      if (!was_moved(error)) throw error;
      if (look === LOOKS) throw new Moved(path, { cause: error });
    }
  }
}
