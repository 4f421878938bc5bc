/** Options of the private tmux server, in whose memory the daemon keeps what must be on no disk and survive it. */
import { failure, LOOK_DEADLINE_MS, NO_SESSION, type TmuxServer, tmux } from "./client.ts";
import { tmux_or_start } from "./start.ts";

/** Sets a server option whose value must not be seen in argv: the command comes on stdin (source-file -, tmux 3.2). Name and value are of letters, digits, `_`, `-` and a leading `@`. Starts a server if none runs. */
export async function hold_option(server: TmuxServer, name: string, value: string): Promise<void> {
  const command = `set-option -s "${name}" "${value}"\n`;
  const result = await tmux_or_start(server, ["start-server", ";", "source-file", "-"], command);
  if (result.exitCode !== 0) throw failure(result, "tmux did not take an option");
}

/** Removes a server option; one that is not there, or whose server is gone, is removed already. */
export async function release_option(server: TmuxServer, name: string): Promise<void> {
  const result = await tmux(server, ["set-option", "-su", name], LOOK_DEADLINE_MS);
  if (result.exitCode !== 0 && !NO_SESSION.test(result.stderr)) throw failure(result, "tmux kept an option");
}

/** The server options with this prefix, by name; none when there is no server. Rejects when tmux does not answer. */
export async function held_options(server: TmuxServer, prefix: string): Promise<Map<string, string>> {
  const result = await tmux(server, ["show-options", "-s"]);
  if (result.exitCode !== 0 && !NO_SESSION.test(result.stderr)) throw failure(result, "tmux did not show its options");
  const lines = result.stdout.split("\n").filter((line) => line.startsWith(prefix));
  return new Map(lines.map((line) => line.split(" ") as [string, string]));
}
