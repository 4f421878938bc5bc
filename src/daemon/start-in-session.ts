/**
 * Starts a daemon for those who need one and find none: in a session of the private tmux server, so that a person can look at it and it
 * outlives whoever started it. It gets the tmux server's scrubbed environment and a terminal of its own, nothing of the caller's. Two who
 * start at once end up with one: tmux gives a session's name once, the workspace has one lock, and both wait for whoever serves.
 */
import { readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Client } from "../client/client.ts";
import { discover } from "../client/discover.ts";
import { ERRORS, type ErrorCode, is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import { SUPERVISOR_SESSION } from "../contract/ids.ts";
import { ANYWHERE, start_failure_file, tmux_config, tmux_socket, workspace_option } from "../contract/paths.ts";
import type { TmuxServer } from "../drivers/tmux/client.ts";
import { end_idle_server, TMUX_CONFIG } from "../drivers/tmux/server.ts";
import { has_session, new_session } from "../drivers/tmux/sessions.ts";
import { read_daemon_info } from "./lock.ts";
import { choose_runtime_dir, prepare_runtime_dir, remove_runtime_dir } from "./runtime-dir.ts";
import { prepare_workspace } from "./workspace.ts";

const PROGRAM = fileURLToPath(new URL("../supervisor.js", import.meta.url));
/** A daemon serves after about 300 ms; with many agents to adopt, or ends to finish, it takes longer. */
const READY_DEADLINE_MS = 60_000;
/** A daemon that works answers within milliseconds; seconds on a machine that is out of memory or cores. In ms. */
const HEALTH_MS = 5_000;
/** How often is looked whether it serves: nobody tells one who is not its parent. In ms. */
const LOOK_MS = 50;
/** After so many looks tmux is asked whether the session still lives. */
const LOOKS_PER_CHECK = 10;

export interface StartOptions {
  workspace: string;
  runtime_base: string;
  /** For the tmux server, if it has to be started: PATH, HOME and the like. */
  base_env: Record<string, string>;
  /** Variables that say where the daemon finds its config file. */
  settings: Record<string, string>;
}

/** Resolves when a daemon serves the workspace, started by this call or by another; rejects with what kept it from starting. */
export async function start_in_session(options: StartOptions): Promise<void> {
  const workspace = await prepare_workspace(options.workspace);
  const runtime_dir = await choose_runtime_dir(workspace, options.runtime_base, await read_daemon_info(workspace));
  await prepare_runtime_dir(runtime_dir);
  const tmux = { socket: tmux_socket(runtime_dir), config: tmux_config(runtime_dir), env: options.base_env };
  const failure = start_failure_file(runtime_dir);
  await rm(failure, { force: true });
  await write_config(tmux.config);
  // A tmux server that runs already may have been started with others. No secrets: this can be read in the list of processes.
  const settings = { ...options.settings, PATH: options.base_env.PATH, XDG_RUNTIME_DIR: options.runtime_base };
  const command = [
    "/usr/bin/env",
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    process.execPath,
    PROGRAM,
    "start",
    "--workspace",
    workspace,
    "--failure-file",
    failure,
  ];
  try {
    const deadline = performance.now() + READY_DEADLINE_MS;
    const session_lives = () => has_session(tmux, SUPERVISOR_SESSION);
    // A session that was there may be that of a daemon that was just killed, of which tmux has not heard yet: when it goes and nobody serves, it is made anew.
    for (;;) {
      const ours = await make_session(tmux, command);
      if (await until_it_serves(workspace, session_lives, deadline)) return;
      if (ours) throw await reason(failure, workspace);
    }
  } catch (error) {
    await tidy_up(tmux, runtime_dir).catch((left) => {
      throw new SupervisorError(
        "tmux_failed",
        `${message_of(error)}; and what was begun was left: ${message_of(left)}`,
      );
    });
    throw error;
  }
}

async function tidy_up(tmux: TmuxServer, runtime_dir: string): Promise<void> {
  await end_idle_server(tmux);
  await remove_runtime_dir(runtime_dir);
}

/** The config of a server that runs already stays as it is; it is the same. */
async function write_config(path: string): Promise<void> {
  await writeFile(path, TMUX_CONFIG, { mode: 0o600, flag: "wx" }).catch((error) => {
    if (!is_errno(error, "EEXIST")) throw error;
  });
}

/** False when there is one already: another call was a moment faster, and its daemon is as good. */
async function make_session(tmux: TmuxServer, command: string[]): Promise<boolean> {
  try {
    await new_session(tmux, SUPERVISOR_SESSION, command);
    return true;
  } catch (error) {
    if (!/duplicate session/.test(String(error))) throw error;
    return false;
  }
}

/** False when the session has gone and nobody serves. Rejects with `timeout` when the time (monotonic, in ms) is over. */
async function until_it_serves(
  workspace: string,
  session_lives: () => Promise<boolean | "unknown">,
  deadline: number,
): Promise<boolean> {
  for (let look = 1; ; look++) {
    if (await serves(workspace)) return true;
    // Asked once more after the session is known to be gone: the daemon may be one that somebody started by hand.
    if (look % LOOKS_PER_CHECK === 0 && (await session_lives()) === false) return serves(workspace);
    if (performance.now() > deadline)
      throw new SupervisorError(
        "timeout",
        `the supervisor that was started for ${workspace} did not serve within ${READY_DEADLINE_MS} ms; 'supervisor start${workspace_option(workspace, ANYWHERE)}' in a terminal shows why`,
      );
    await delay(LOOK_MS);
  }
}

async function serves(workspace: string): Promise<boolean> {
  let client: Client;
  try {
    client = await discover(workspace, ANYWHERE, undefined);
    // One that is stopped accepts, and says nothing: it does not serve.
    await client.call("health", {}, { signal: AbortSignal.timeout(HEALTH_MS) });
    return true;
  } catch (error) {
    if (error instanceof SupervisorError && (error.code === "no_daemon" || error.code === "daemon_gone")) return false;
    if ((error as Error).name === "TimeoutError") return false;
    throw error;
  }
}

/** What the daemon left when it could not start. */
async function reason(failure: string, workspace: string): Promise<SupervisorError> {
  try {
    const { code, error } = JSON.parse(await readFile(failure, "utf8")) as { code: string; error: string };
    return new SupervisorError(code in ERRORS ? (code as ErrorCode) : "internal", error);
  } catch (error) {
    if (!is_errno(error, "ENOENT")) throw error;
    return new SupervisorError(
      "no_daemon",
      `the supervisor that was started for ${workspace} ended without a word; 'supervisor start${workspace_option(workspace, ANYWHERE)}' in a terminal shows why`,
    );
  }
}
