/** Ends many sessions at once. */
import { LOOK_DEADLINE_MS, NO_SERVER, type TmuxServer, tmux } from "./client.ts";
import { kill_session } from "./sessions.ts";

/** The names that stand in a command line of tmux's own as they are. */
const PLAIN = /^[\w-]+$/;
/** What the last of the commands below answers (TMUX_CONFIG): what was said before it is whole. */
const END_OF_LIST = "exit-empty off";

/**
 * Ends many sessions of ours with one client: starting one costs more than all it asks. Gives those that are gone now, whether they were there or not; of the others
 * nobody can tell.
 */
export async function kill_sessions(server: TmuxServer, names: readonly string[]): Promise<ReadonlySet<string>> {
  const gone = new Set<string>();
  const plain = names.filter((name) => PLAIN.test(name));
  if (plain.length > 1) {
    // Each line is obeyed for itself, whatever became of the one before; after them it is looked what is left.
    const lines = plain.map((name) => `kill-session -t "=${name}"\n`).join("");
    const look = ["list-sessions", "-F", "#{session_name}", ";", "show-options", "-s", "exit-empty"];
    const result = await tmux(server, ["source-file", "-", ";", ...look], LOOK_DEADLINE_MS, lines);
    const left = result.stdout.split("\n");
    if (left.pop() === END_OF_LIST || (result.stdout === "" && NO_SERVER.test(result.stderr)))
      for (const name of plain) if (!left.includes(name)) gone.add(name);
  }
  for (const name of plain.length > 1 ? names.filter((one) => !PLAIN.test(one)) : names)
    if ((await kill_session(server, name)) !== "unknown") gone.add(name);
  return gone;
}
