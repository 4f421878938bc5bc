/** The command's standard streams, when the other side of them goes. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import { is_errno } from "../contract/errors.ts";

/** The major number of /dev/null, /dev/full and their like, which are no terminals (null(4)). */
const MEMORY_DEVICES = 1;

/**
 * For a command that does more than it says: that nobody hears it, or a full disk takes nothing of it, is no reason to end in the middle. Returns what
 * says at its end why it was not heard: null also for a reader that left.
 */
export function go_on_unheard(): () => Error | null {
  let first: NodeJS.ErrnoException | null = null;
  process.stdout.removeAllListeners("error").on("error", (error) => {
    first ??= error;
  });
  return () => (is_errno(first, "EPIPE") ? null : first);
}

/**
 * At its exit Node puts each terminal back as it was, and aborts (with a core file) when that has hung up (seen with Node 20.20): the supervisor's own, when its window is
 * closed, and each time that it ends the tmux server that it lives in. A descriptor that is another file by then is passed over. Called at the exit; a terminal that is still there is
 * left to Node, and what was never one as it is. Never only closed: koffi syncs stdout and stderr as the last thing of all, and waits for ever for itself when it cannot say that it could not.
 */
export function replace_what_hung_up(): void {
  for (const fd of [0, 1, 2]) {
    try {
      const file = fstatSync(fd);
      if (!file.isCharacterDevice() || file.rdev >> 8 === MEMORY_DEVICES || isatty(fd)) continue;
      closeSync(fd);
      openSync("/dev/null", "r+");
    } catch (error) {
      if (!is_errno(error, "EBADF")) throw error;
    }
  }
}
