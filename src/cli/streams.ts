/** The command's standard streams, when the other side of them goes. */
import { closeSync, fstatSync } from "node:fs";
import { isatty } from "node:tty";
import { is_errno } from "../contract/errors.ts";

/** For a command that does more than it says: that nobody hears it, or a full disk takes nothing of it, is no reason to end in the middle. */
export function go_on_unheard(): void {
  process.stdout.removeAllListeners("error").on("error", () => undefined);
}

/**
 * At its exit Node puts each terminal back as it was, and aborts (with a core file) when that has hung up (seen with Node 20.20): the supervisor's own, when its window is
 * closed, and each time that it ends the tmux server that it lives in. A descriptor that is closed is passed over. Called at the exit; a terminal that is still there is left to Node.
 */
export function close_what_hung_up(): void {
  for (const fd of [0, 1, 2]) {
    try {
      if (fstatSync(fd).isCharacterDevice() && !isatty(fd)) closeSync(fd);
    } catch (error) {
      if (!is_errno(error, "EBADF")) throw error;
    }
  }
}
