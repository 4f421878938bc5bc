/**
 * Starts a program: the one place for it. Run by the daemon (tmux, lsof, mkfifo, an alert's program) and by the command (`attach`, `doctor`). Whoever starts a
 * program owns it: its deadline, its output and its end are the caller's. One that shares this process's group is told to leave when this process exits.
 *
 * A program that the machine has no means to start is an error like any other (`out_of_resources`), for the caller alone. Node tells of it in three ways: it throws
 * (ENOMEM), it emits `error` (EAGAIN), or, with EMFILE and ENFILE, it emits `error` on a child that has no stdio (nodejs/node#14166 calls it intended).
 */
import { ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { is_errno, SupervisorError, why_not_started } from "../contract/errors.ts";

export interface ProgramOptions
  extends Pick<SpawnOptions, "cwd" | "detached" | "signal" | "timeout" | "killSignal" | "stdio"> {
  /** The whole of its environment; this process's own without. */
  env?: Record<string, string | undefined>;
  /** What it reads on its stdin; nothing without. */
  input?: string;
  /** Of stdout, and of stderr, each: one that prints more is killed. Null for a caller who reads them himself. */
  max_bytes?: number | null;
}

/** How a program ended, when nobody has its output open any more. */
export interface Ended {
  stdout: string;
  stderr: string;
  /** Null when it was ended by a signal, or could not be started. */
  exit_code: number | null;
  signal: NodeJS.Signals | null;
  /** It printed more than it may. */
  too_long: boolean;
  /** Why it could not be started, or be spoken with, or null. */
  error: unknown;
}

export interface Program {
  child: ChildProcess;
  /** Never rejects. */
  ended: Promise<Ended>;
}

/** Nobody prints so much that is started here. In bytes. */
const MAX_BYTES = 100 * 1024 * 1024;

/**
 * Resolves when the program was started, before the event loop turns: it is at least a zombie then. Also when it could not be for a reason of its own (ENOENT): then the
 * child has no pid, and its end the reason. Rejects with `out_of_resources` when descriptors, processes or memory are used up; nothing is left of it.
 */
export async function start_program(
  program: string,
  args: readonly string[],
  { input, max_bytes = MAX_BYTES, ...options }: ProgramOptions = {},
): Promise<Program> {
  let child: ChildProcess;
  try {
    child = spawn(program, args, { stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"], ...options });
  } catch (thrown) {
    throw_if_used_up(program, thrown);
    // Arguments that are too long, or are none.
    return { child: new ChildProcess(), ended: Promise.resolve(never_started(thrown)) };
  }
  if (child.pid === undefined) {
    const [refused] = await once(child, "error");
    throw_if_used_up(program, refused);
    return { child, ended: Promise.resolve(never_started(refused)) };
  }
  if (!options.detached) end_with_us(child);
  const ended = end_of(child, max_bytes);
  child.stdin?.end(input);
  return { child, ended };
}

function throw_if_used_up(program: string, error: unknown): void {
  const why = why_not_started(error);
  if (why) throw new SupervisorError("out_of_resources", `${program} could not be started: ${why}`, { cause: error });
}

const never_started = (error: unknown): Ended => ({
  stdout: "",
  stderr: "",
  exit_code: null,
  signal: null,
  too_long: false,
  error,
});

function end_of(child: ChildProcess, max_bytes: number | null): Promise<Ended> {
  let error: unknown = null;
  let too_long = false;
  const note = (reason: unknown) => {
    error ??= reason;
  };
  child.on("error", note);
  // That it leaves without having read what it was told is its own affair.
  child.stdin?.on("error", (reason) => is_errno(reason, "EPIPE", "ECONNRESET") || note(reason));
  const kept = (stream: Readable | null): (() => string) => {
    stream?.on("error", note);
    if (!stream || max_bytes === null) return () => "";
    const chunks: Buffer[] = [];
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= max_bytes) return void chunks.push(chunk);
      too_long = true;
      child.kill("SIGKILL");
      // Somebody whom it started may go on printing.
      child.stdout?.destroy();
      child.stderr?.destroy();
    });
    return () => Buffer.concat(chunks).toString("utf8");
  };
  const [stdout, stderr] = [kept(child.stdout), kept(child.stderr)];
  return new Promise((resolve) =>
    child.once("close", (exit_code: number | null, signal: NodeJS.Signals | null) =>
      resolve({ stdout: stdout(), stderr: stderr(), exit_code, signal, too_long, error }),
    ),
  );
}

const living = new Set<ChildProcess>();

function end_with_us(child: ChildProcess): void {
  if (living.size === 0) process.on("exit", end_living);
  living.add(child);
  child.once("exit", () => {
    living.delete(child);
    if (living.size === 0) process.off("exit", end_living);
  });
}

function end_living(): void {
  for (const child of living) child.kill();
}
