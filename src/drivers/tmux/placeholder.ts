/** A pane for an agent whose host has lost its own, with the server that had it. */
import { SupervisorError } from "../../contract/errors.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import type { TmuxServer } from "./client.ts";
import { start_session } from "./sessions.ts";

export interface PlaceholderPane {
  tty: string;
  server: ProcessRef;
}

/**
 * What runs in a pane whose agent's host is elsewhere: it says the pane's size in $2 (`ROWS COLUMNS`, at first and at each change), and leaves
 * when nobody holds $1 open any more. A trap interrupts `wait`, so that it is waited again while the reader lives.
 */
const PLACEHOLDER = `
exec 3<"$1" 4>"$2" || exit 1
rm -f "$1" "$2"
trap 'stty size >&4' WINCH
stty size >&4
cat <&3 >/dev/null 4>&- &
while kill -0 $! 2>/dev/null; do wait $!; done
`;

/** Starts a session with a placeholder, for a host that has lost its pane. `life` and `sizes` are named pipes. */
export async function new_placeholder(
  server: TmuxServer,
  name: string,
  life: string,
  sizes: string,
): Promise<PlaceholderPane> {
  const started = await start_session(server, name, ["/bin/sh", "-c", PLACEHOLDER, "placeholder", life, sizes]);
  if (!server.process) throw new SupervisorError("tmux_failed", `the tmux server left as ${name} was started`);
  return { tty: started.tty, server: server.process };
}
