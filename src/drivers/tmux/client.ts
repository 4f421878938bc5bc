/** Asks the private tmux server, with one tmux client for each question. Run by the daemon. A server that is slow or gone is an answer like another: whoever asks decides. */
import { setTimeout as delay } from "node:timers/promises";
import { is_used_up, message_of, NO_PTY, SupervisorError, trouble, why_not_started } from "../../contract/errors.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { read_process } from "../procfs.ts";
import { start_program } from "../program.ts";
import { see_half_gone_off } from "./half-gone.ts";

/** A tmux that has not answered by then is stopped or wedged. It answers in about 10 ms. */
export const DEADLINE_MS = 10_000;
/** For a look that a person or an end waits for, and that can do without an answer. In ms. */
export const LOOK_DEADLINE_MS = 3_000;

export interface TmuxServer {
  socket: string;
  config: string;
  /** PATH, HOME, LANG and TERM for the server; nothing else of the daemon's environment. */
  env: Record<string, string>;
  /** The server's process, as far as it is known: one that is known to be stopped is not asked, but said to be stopped. */
  process?: ProcessRef | null;
}

export interface TmuxAnswer {
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
export async function tmux(
  server: TmuxServer,
  args: string[],
  deadline_ms = DEADLINE_MS,
  input?: string,
): Promise<TmuxAnswer> {
  try {
    const stopped = stopped_server(server);
    if (stopped) return no_answer(stopped);
    const answer = await run_client(server, args, deadline_ms, input);
    const ask = async () => (await run_client(server, ["list-sessions"], LOOK_DEADLINE_MS)).stderr;
    await see_half_gone_off(server.process ?? null, answer.stderr, ask);
    return answer;
  } catch (error) {
    return not_asked(error);
  }
}

/** Nobody could be asked: that is never "there is no such session". */
export function not_asked(error: unknown): TmuxAnswer {
  if (is_used_up(error)) return no_answer(trouble(error), "out_of_resources");
  throw error;
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
export const failure = ({ code, silent, stderr }: TmuxAnswer, what: string) =>
  new SupervisorError(code, silent ?? `${what}: ${stderr.trim()}`);

/** Why the server cannot answer, when its process is known and stopped; else null. */
export function stopped_server({ process }: TmuxServer): string | null {
  const facts = process ? read_process(process.pid) : null;
  if (!facts || facts.start_time !== process?.start_time || (facts.state !== "T" && facts.state !== "t")) return null;
  return `the tmux server (pid ${facts.pid}) is stopped; continue it with 'kill -CONT ${facts.pid}'`;
}

/** What tmux says when there is no server. That it could not connect for another reason says nothing. */
export const NO_SERVER = /no server running|error connecting to .*\((No such file or directory|Connection refused)\)/;
/** The same, or that there is no such session. */
export const NO_SESSION = new RegExp(`can't find session|no current target|${NO_SERVER.source}`);
