/**
 * The private tmux server: its own socket, its own config, never the user's. Run by the daemon. The server is started by the
 * first session and stays until the daemon ends it, so that a killed session is never mistaken for a dead server; it is given a scrubbed environment, because a server's environment is readable.
 */
import { createConnection } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";
import {
  is_errno,
  is_used_up,
  message_of,
  NO_PTY,
  SupervisorError,
  trouble,
  why_not_started,
} from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { process_ref_of, read_process } from "./procfs.ts";
import { start_program } from "./program.ts";

/** A tmux that has not answered by then is stopped or wedged. It answers in about 10 ms. */
const DEADLINE_MS = 10_000;
/** For a look that a person or an end waits for, and that can do without an answer. In ms. */
const LOOK_DEADLINE_MS = 3_000;
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
  /** The server's process, as far as it is known: one that is known to be stopped is not asked, but said to be stopped. */
  process?: ProcessRef | null;
}

interface TmuxAnswer {
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
  /** Why there was no answer at all, or null. A command that was silent may still be obeyed, when the server goes on. */
  silent: string | null;
  /** The code of the error that a failure is. */
  code: "tmux_failed" | "out_of_resources";
}

const no_answer = (silent: string, code: TmuxAnswer["code"] = "tmux_failed"): TmuxAnswer => ({
  exitCode: undefined,
  stdout: "",
  stderr: "",
  silent,
  code,
});

/** Runs one tmux command. */
async function tmux(
  server: TmuxServer,
  args: string[],
  deadline_ms = DEADLINE_MS,
  input?: string,
): Promise<TmuxAnswer> {
  try {
    const stopped = stopped_server(server);
    return stopped ? no_answer(stopped) : await run_client(server, args, deadline_ms, input);
  } catch (error) {
    // Nobody could be asked: that is never "there is no such session".
    if (is_used_up(error)) return no_answer(trouble(error), "out_of_resources");
    throw error;
  }
}

async function run_client(server: TmuxServer, args: string[], deadline_ms: number, input?: string) {
  const { child: client } = await start_program("tmux", ["-u", "-S", server.socket, "-f", server.config, ...args], {
    env: server.env,
    extendEnv: false,
    cwd: "/",
    reject: false,
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
  });
  const timer = new AbortController();
  const late = delay(deadline_ms, null, { signal: timer.signal }).catch(() => null);
  const result = await Promise.race([client, late]);
  timer.abort();
  if (!result) {
    // Not execa's own timeout: the client has handed its output pipes to the server (SCM_RIGHTS), and a frozen one keeps them open
    // when the client is long dead. Nor TERM: a client that is asked to leave tells its server first.
    client.kill("SIGKILL");
    client.stdout.destroy();
    client.stderr.destroy();
    return no_answer(`the tmux server on ${server.socket} did not answer in ${deadline_ms} ms`);
  }
  if (result.code === "ENOENT")
    throw new SupervisorError(
      "tmux_missing",
      "tmux is not installed; install it (for example: apt-get install tmux) and try again",
    );
  const failed = result.exitCode === undefined ? message_of(result) : "";
  const stderr = in_words(result.stderr || failed);
  return { exitCode: result.exitCode, stdout: result.stdout, silent: null, ...stderr };
}

/** What tmux says when there is no terminal, process or descriptor for a new pane: forkpty(3)'s errno in the system's words. */
const USED_UP: [RegExp, string | null][] = [
  [/fork failed: No space left on device/, NO_PTY],
  [/fork failed: Resource temporarily unavailable/, why_not_started({ code: "EAGAIN" })],
  [/fork failed: Too many open files in system/, why_not_started({ code: "ENFILE" })],
  [/fork failed: Too many open files/, why_not_started({ code: "EMFILE" })],
  [/fork failed: Cannot allocate memory/, why_not_started({ code: "ENOMEM" })],
];

function in_words(stderr: string): Pick<TmuxAnswer, "stderr" | "code"> {
  const [, words] = USED_UP.find(([said]) => said.test(stderr)) ?? [];
  return words ? { stderr: words, code: "out_of_resources" } : { stderr, code: "tmux_failed" };
}

/** A command that failed, or had no answer, as an error. */
const failure = ({ code, silent, stderr }: TmuxAnswer, what: string) =>
  new SupervisorError(code, silent ?? `${what}: ${stderr.trim()}`);

/** Why the server cannot answer, when its process is known and stopped; else null. */
export function stopped_server({ process }: TmuxServer): string | null {
  const facts = process ? read_process(process.pid) : null;
  if (!facts || facts.start_time !== process?.start_time || (facts.state !== "T" && facts.state !== "t")) return null;
  return `the tmux server (pid ${facts.pid}) is stopped; continue it with 'kill -CONT ${facts.pid}'`;
}

/** Starts a session that runs `command` (executed directly, not by a shell). Returns the pane's pid. */
export async function new_session(server: TmuxServer, name: string, command: string[]): Promise<number> {
  return (await start_session(server, name, command)).pid;
}

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

async function start_session(server: TmuxServer, name: string, command: string[]) {
  const format = "#{pid} #{pane_pid} #{pane_tty}";
  return pRetry(
    async () => {
      const result = await tmux(server, ["new-session", "-d", "-P", "-F", format, "-s", name, "--", ...command]);
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

/** What tmux says when there is no server. That it could not connect for another reason says nothing. */
const NO_SERVER = /no server running|error connecting to .*\((No such file or directory|Connection refused)\)/;
/** The same, or that there is no such session. */
const NO_SESSION = new RegExp(`can't find session|no current target|${NO_SERVER.source}`);

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

/** Resolves when the server answers, or when there is none: at once, or when a frozen one goes on. Aborted by the signal, which rejects nothing. */
export async function server_settled(server: TmuxServer, signal: AbortSignal): Promise<void> {
  const { child } = await start_program("tmux", ["-S", server.socket, "list-sessions"], {
    env: server.env,
    extendEnv: false,
    cwd: "/",
    reject: false,
    // No pipes: see above.
    stdio: "ignore",
    cancelSignal: signal,
    killSignal: "SIGKILL",
  });
  await child;
}

/** The names of all sessions on the private server. */
export async function list_sessions(server: TmuxServer): Promise<string[]> {
  const result = await tmux(server, ["list-sessions", "-F", "#{session_name}"], LOOK_DEADLINE_MS);
  if (result.exitCode !== 0) throw failure(result, "tmux did not list its sessions");
  return result.stdout.split("\n").filter(Boolean);
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

/** True when a tmux server accepts on this socket. Rejects when that cannot be found out: no descriptor is free. */
export function server_lives(socket_path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socket_path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: so many wait to be accepted that no more fit; it is frozen, not gone (unix(7)).
    socket.once("error", (error) => (is_used_up(error) ? reject(error) : resolve(is_errno(error, "EAGAIN"))));
  });
}

/** The version line, or null when tmux is not there. */
export async function tmux_version(): Promise<string | null> {
  const { child } = await start_program("tmux", ["-V"], { reject: false });
  const result = await child;
  return result.exitCode === 0 ? String(result.stdout) : null;
}

/** Sets a server option whose value must not be seen in argv: the command comes on stdin (source-file -, tmux 3.2). Name and value are of letters, digits, `_`, `-` and a leading `@`. Starts a server if none runs. */
export async function hold_option(server: TmuxServer, name: string, value: string): Promise<void> {
  const command = `set-option -s "${name}" "${value}"\n`;
  const result = await tmux(server, ["start-server", ";", "source-file", "-"], DEADLINE_MS, command);
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

/** The process in a session's pane, null when there is no such session, "unknown" when tmux does not answer. */
export async function pane_process(server: TmuxServer, session: string): Promise<ProcessRef | null | "unknown"> {
  const result = await tmux(server, ["list-panes", "-t", `=${session}`, "-F", "#{pane_pid}"], LOOK_DEADLINE_MS);
  if (result.exitCode === 0) return process_ref_of(Number(result.stdout.trim()));
  return NO_SESSION.test(result.stderr) ? null : "unknown";
}
