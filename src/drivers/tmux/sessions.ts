/** Sessions of the private tmux server. Each is ours, and is found by its whole name. */
import pRetry from "p-retry";
import type { ProcessRef } from "../../contract/receipt.ts";
import { process_ref_of } from "../procfs.ts";
import { failure, LOOK_DEADLINE_MS, NO_SESSION, type TmuxServer, tmux } from "./client.ts";
import { tmux_or_start } from "./start.ts";

/** `new-session` fails when it meets a server that is just leaving with its last session; a new one is there at once. */
const RACE = /server exited|lost server|no server running|error connecting/;

/** Starts a session that runs `command` (executed directly, not by a shell). Returns the pane's pid. */
export async function new_session(server: TmuxServer, name: string, command: string[]): Promise<number> {
  return (await start_session(server, name, command)).pid;
}

/** The same, with the pane's terminal. `server.process` is known afterwards. */
export async function start_session(server: TmuxServer, name: string, command: string[]) {
  const format = "#{pid} #{pane_pid} #{pane_tty}";
  return pRetry(
    async () => {
      const result = await tmux_or_start(server, [
        "new-session",
        "-d",
        "-P",
        "-F",
        format,
        "-s",
        name,
        "--",
        ...command,
      ]);
      const [server_pid, pid, tty] = result.stdout.trim().split(" ");
      if (result.exitCode === 0 && Number(pid) > 0) {
        server.process = process_ref_of(Number(server_pid));
        return { pid: Number(pid), tty: tty as string };
      }
      throw failure(result, `tmux could not start the session ${name}`);
    },
    { retries: 5, minTimeout: 20, factor: 2, shouldRetry: ({ error }) => RACE.test(error.message) },
  );
}

/** True, false, or "unknown" when tmux does not answer: that is never "gone". */
export async function has_session(server: TmuxServer, name: string): Promise<boolean | "unknown"> {
  const result = await tmux(server, ["has-session", "-t", `=${name}`], LOOK_DEADLINE_MS);
  if (result.exitCode === 0) return true;
  return NO_SESSION.test(result.stderr) ? false : "unknown";
}

/** Gives a session of ours another name. Rejects when it is not there, or tmux does not answer. */
export async function rename_session(server: TmuxServer, name: string, to: string): Promise<void> {
  const result = await tmux(server, ["rename-session", "-t", `=${name}`, to], LOOK_DEADLINE_MS);
  if (result.exitCode !== 0) throw failure(result, `tmux could not rename the session ${name}`);
}

/**
 * Ends a session of ours. True when it was there, false when it was not, "unknown" when tmux does not answer: it may still obey. Rejects with `out_of_resources`
 * when it could not be told at all.
 */
export async function kill_session(server: TmuxServer, name: string): Promise<boolean | "unknown"> {
  const result = await tmux(server, ["kill-session", "-t", `=${name}`], LOOK_DEADLINE_MS);
  if (result.silent !== null && result.code === "out_of_resources")
    throw failure(result, `tmux could not end the session ${name}`);
  if (result.exitCode === 0) return true;
  return NO_SESSION.test(result.stderr) ? false : "unknown";
}

/** The names of all sessions on the private server. */
export async function list_sessions(server: TmuxServer): Promise<string[]> {
  const result = await tmux(server, ["list-sessions", "-F", "#{session_name}"], LOOK_DEADLINE_MS);
  if (result.exitCode !== 0) throw failure(result, "tmux did not list its sessions");
  return result.stdout.split("\n").filter(Boolean);
}

/** The process in a session's pane, null when there is no such session, "unknown" when tmux does not answer. */
export async function pane_process(server: TmuxServer, session: string): Promise<ProcessRef | null | "unknown"> {
  // With the colon it is a session that is looked for: tmux would else say that there is no such window.
  const result = await tmux(server, ["list-panes", "-t", `=${session}:`, "-F", "#{pane_pid}"], LOOK_DEADLINE_MS);
  if (result.exitCode === 0) return process_ref_of(Number(result.stdout.trim()));
  return NO_SESSION.test(result.stderr) ? null : "unknown";
}
