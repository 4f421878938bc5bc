/**
 * The private tmux server: its own socket, its own config, never the user's. Run by the daemon. The server is started by the
 * first session and stays until the daemon ends it, so that a killed session is never mistaken for a dead server; it is given a scrubbed environment, because a server's environment is readable.
 */
import { setTimeout as delay } from "node:timers/promises";
import { SupervisorError } from "../../contract/errors.ts";
import { start_program } from "../program.ts";
import { ask_version, type VersionOptions } from "../version.ts";
import { DEADLINE_MS, failure, type TmuxServer, tmux } from "./client.ts";
import { server_lives } from "./lives.ts";
import { list_sessions } from "./sessions.ts";

/** How often is looked whether a server that was told to leave has left. In ms. */
const LOOK_MS = 5;

/** Written to the private server's config file. Nothing an agent prints may reach the operator's clipboard or rename things. */
export const TMUX_CONFIG = `set -g default-size 200x50
set -g history-limit 10000
set -g remain-on-exit off
set -s exit-empty off
set -s set-clipboard off
set -s escape-time 10
set -g allow-rename off
set -g automatic-rename off
set -g destroy-unattached off
set -g detach-on-destroy on
set -g update-environment ""
set -g status-left "[#{session_name}] "
set -g status-left-length 80
set -g status-right "C-b d leaves"
`;

/** Resolves when the server answers, or when there is none: at once, or when a frozen one goes on. Aborted by the signal, which rejects nothing. */
export async function server_settled(server: TmuxServer, signal: AbortSignal): Promise<void> {
  const { child } = await start_program("tmux", ["-S", server.socket, "list-sessions"], {
    env: server.env,
    extendEnv: false,
    cwd: "/",
    reject: false,
    // No pipes: a frozen server would keep them (client.ts).
    stdio: "ignore",
    cancelSignal: signal,
    killSignal: "SIGKILL",
  });
  await child;
}

/** True when nothing runs on the server, or nothing but this very process, which may have been started in a session of it. */
async function is_idle(server: TmuxServer): Promise<boolean> {
  // Asked first: without a session, list-panes fails as if something were wrong.
  if ((await list_sessions(server)).length === 0) return true;
  const result = await tmux(server, ["list-panes", "-a", "-F", "#{pane_pid}"]);
  if (result.exitCode !== 0) throw failure(result, "tmux did not list its panes");
  return result.stdout.trim() === String(process.pid);
}

/** Ends the private server, if it has no session left but the one this process may run in; its HUP then comes to this process too. Resolves when it does not accept any more; rejects when it stays. */
export async function end_idle_server(server: TmuxServer): Promise<void> {
  if (!(await server_lives(server.socket)) || !(await is_idle(server))) return;
  await tmux(server, ["kill-server"]);
  // The command returns before the server has left, and nobody tells when it has.
  const deadline = performance.now() + DEADLINE_MS;
  while (await server_lives(server.socket)) {
    if (performance.now() > deadline) {
      throw new SupervisorError(
        "tmux_failed",
        `the tmux server on ${server.socket} did not leave in ${DEADLINE_MS} ms`,
      );
    }
    await delay(LOOK_MS);
  }
}

/** The version line, or null when tmux is not there. Rejects as `ask_version` does, with `tmux_missing`. */
export async function tmux_version(options: VersionOptions = {}): Promise<string | null> {
  const answer = await ask_version("tmux", "-V", { missing: "tmux_missing" }, options);
  return answer && answer.exit_code === 0 ? answer.stdout.trimEnd() : null;
}
