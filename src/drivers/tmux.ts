/**
 * The private tmux server: its own socket, its own config, never the user's. Run by the daemon. The server is started by the
 * first session and stays until the daemon ends it, so that a killed session is never mistaken for a dead server; it is given a scrubbed environment, because a server's environment is readable.
 */
import { createConnection } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import pRetry from "p-retry";
import { message_of, SupervisorError } from "../contract/errors.ts";

/** A tmux that has not answered by then is stopped or wedged. It answers in about 10 ms. */
const DEADLINE_MS = 10_000;
/** How often is looked whether a server that was told to leave has left. In ms. */
const LOOK_MS = 5;
/** `new-session` fails when it meets a server that is just leaving with its last session; a new one is there at once. */
const RACE = /server exited|lost server|no server running|error connecting/;

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

export interface TmuxServer {
  socket: string;
  config: string;
  /** PATH, HOME, LANG and TERM for the server; nothing else of the daemon's environment. */
  env: Record<string, string>;
}

async function tmux(server: TmuxServer, args: string[]) {
  const result = await execa("tmux", ["-u", "-S", server.socket, "-f", server.config, ...args], {
    env: server.env,
    extendEnv: false,
    cwd: "/",
    reject: false,
    timeout: DEADLINE_MS,
    stdin: "ignore",
  });
  if (result.code === "ENOENT")
    throw new SupervisorError(
      "tmux_missing",
      "tmux is not installed; install it (for example: apt-get install tmux) and try again",
    );
  return result;
}

/** Starts a session that runs `command` (executed directly, not by a shell). Returns the pane's pid. */
export async function new_session(server: TmuxServer, name: string, command: string[]): Promise<number> {
  return pRetry(
    async () => {
      const result = await tmux(server, ["new-session", "-d", "-P", "-F", "#{pane_pid}", "-s", name, "--", ...command]);
      const pid = Number(result.stdout);
      if (result.exitCode === 0 && pid > 0) return pid;
      throw new SupervisorError(
        "tmux_failed",
        `tmux could not start the session ${name}: ${result.timedOut ? `no answer in ${DEADLINE_MS} ms` : result.stderr || message_of(result)}`,
      );
    },
    { retries: 5, minTimeout: 20, factor: 2, shouldRetry: ({ error }) => RACE.test(error.message) },
  );
}

/** True, false, or "unknown" when tmux does not answer: that is never "gone". */
export async function has_session(server: TmuxServer, name: string): Promise<boolean | "unknown"> {
  const result = await tmux(server, ["has-session", "-t", `=${name}`]);
  if (result.exitCode === 0) return true;
  return /can't find session|no current target|no server running|error connecting/.test(String(result.stderr))
    ? false
    : "unknown";
}

/** Ends a session of ours. True when it was there. */
export async function kill_session(server: TmuxServer, name: string): Promise<boolean> {
  const result = await tmux(server, ["kill-session", "-t", `=${name}`]);
  return result.exitCode === 0;
}

/** The names of all sessions on the private server. */
export async function list_sessions(server: TmuxServer): Promise<string[]> {
  const result = await tmux(server, ["list-sessions", "-F", "#{session_name}"]);
  if (result.exitCode !== 0)
    throw new SupervisorError("tmux_failed", `tmux did not list its sessions: ${result.stderr || message_of(result)}`);
  return String(result.stdout).split("\n").filter(Boolean);
}

/** Ends the private server, if it has no session left. Resolves when it does not accept any more; rejects when it stays. */
export async function end_idle_server(server: TmuxServer): Promise<void> {
  if (!(await server_lives(server.socket)) || (await list_sessions(server)).length > 0) return;
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

/** True when a tmux server accepts on this socket. */
export function server_lives(socket_path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socket_path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** The version line, or null when tmux is not there. */
export async function tmux_version(): Promise<string | null> {
  const result = await execa("tmux", ["-V"], { reject: false });
  return result.exitCode === 0 ? String(result.stdout) : null;
}
