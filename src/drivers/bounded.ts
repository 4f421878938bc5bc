/**
 * Runs a program that may hang, in a process group of its own, for at most a deadline. Run by the daemon, for lsof. When the other
 * side is slow: at the deadline everybody of its group is killed, each by pid and start time, and the caller gets its answer then, even
 * if a process does not die (uninterruptible sleep: KILL is waiting for it) or somebody keeps the output open.
 */
import { setPriority } from "node:os";
import { errno_of, is_errno, is_used_up, message_of, trouble } from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { is_alive, list_processes, process_ref_of } from "./procfs.ts";
import { start_program } from "./program.ts";

export interface Bounded {
  stdout: string;
  stderr: string;
  exit_code: number | null;
  /** Why there is no whole answer, in words, or null. */
  failure: string | null;
  /** What kind of failure it is: there is no such program, or no means to start one, or another; null when there is none. */
  failed_by: "missing" | "used_up" | "other" | null;
}

export interface Bounds {
  deadline_ms: number;
  /** Of stdout, and of stderr, each. */
  max_bytes: number;
  /** As of nice(1); as urgent as the caller without. */
  nice?: number | undefined;
  /** Ends it before its deadline, as one that is late. */
  signal?: AbortSignal | undefined;
}

/** Never rejects for want of descriptors, processes or memory: that is a failure in words. */
export async function run_bounded(program: string, args: readonly string[], bounds: Bounds): Promise<Bounded> {
  try {
    return await run(program, args, bounds);
  } catch (error) {
    if (is_used_up(error)) return no_answer(trouble(error), "used_up");
    throw error;
  }
}

const no_answer = (failure: string, failed_by: Bounded["failed_by"] = "other"): Bounded => ({
  stdout: "",
  stderr: "",
  exit_code: null,
  failure,
  failed_by,
});

async function run(
  program: string,
  args: readonly string[],
  { deadline_ms, max_bytes, nice, signal }: Bounds,
): Promise<Bounded> {
  const { child } = await start_program(program, args, {
    reject: false,
    stdin: "ignore",
    cwd: "/",
    maxBuffer: max_bytes,
    // Whether the last line is whole can only be seen by its newline.
    stripFinalNewline: false,
    // Its own session and group: what it starts can be found again, and a Ctrl-C at the daemon's terminal is not for it.
    detached: true,
    killSignal: "SIGKILL",
  });
  // Read at once: even when it has ended it is a zombie until the next turn of the event loop.
  let leader: ProcessRef | null;
  try {
    leader = child.pid === undefined ? null : process_ref_of(child.pid);
  } catch (error) {
    // It could not be ended at its deadline with all that it started. It has hardly begun, and is not reaped before this turn is over.
    child.kill("SIGKILL");
    throw error;
  }
  if (leader && nice !== undefined) make_nice(leader.pid, nice);
  const given_up = new AbortController();
  const late = give_up(deadline_ms, given_up.signal, signal);
  const result = await Promise.race([child, late]);
  given_up.abort();
  if (result === "late" || result === "stopped") {
    child.stdout?.destroy();
    child.stderr?.destroy();
    // Itself at any rate, also where nobody else can be looked for: it is our child and not reaped.
    child.kill("SIGKILL");
    end_group(leader);
    return no_answer(
      result === "late"
        ? `${program} did not answer in ${deadline_ms} ms`
        : `the supervisor is stopping; ${program} was ended`,
    );
  }
  const failure = why_no_answer(program, result);
  if (failure) end_group(leader);
  return {
    stdout: String(result.stdout),
    stderr: String(result.stderr),
    exit_code: result.exitCode ?? null,
    failure,
    failed_by: failure === null ? null : is_missing(result) ? "missing" : "other",
  };
}

/** Resolves at the deadline, or when it is stopped; never once it is `over`. */
function give_up(deadline_ms: number, over: AbortSignal, stop: AbortSignal | undefined): Promise<"late" | "stopped"> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("late"), deadline_ms);
    over.addEventListener("abort", () => clearTimeout(timer), { once: true });
    if (stop?.aborted) resolve("stopped");
    stop?.addEventListener("abort", () => resolve("stopped"), { once: true, signal: over });
  });
}

function make_nice(pid: number, nice: number): void {
  try {
    setPriority(pid, nice);
  } catch (error) {
    // It has ended already.
    if ((error as { info?: { code?: string } }).info?.code !== "ESRCH") throw error;
  }
}

interface Result {
  code?: string;
  signal?: string;
  isMaxBuffer: boolean;
  exitCode?: number;
}

const is_missing = ({ code }: Result) => code === "ENOENT";

function why_no_answer(program: string, result: Result): string | null {
  if (is_missing(result)) return `${program} is not installed`;
  if (result.isMaxBuffer) return `${program}'s answer was too long and was cut`;
  // An answer that was cut short may lack the very line that matters.
  if (result.signal) return `${program} was ended by ${result.signal}`;
  if (result.exitCode === undefined) return `${program} could not be run (${errno_of(result) ?? message_of(result)})`;
  return null;
}

/** Kills whoever is left of a group that we started. The kernel keeps a pid from being given away while a group or session has it for its id. */
function end_group(leader: ProcessRef | null): void {
  if (!leader) return;
  const members = list_processes().filter(
    (one) => one.pgrp === leader.pid && one.session === leader.pid && one.start_time >= leader.start_time,
  );
  for (const one of members) {
    if (!is_alive(one)) continue;
    try {
      process.kill(one.pid, "SIGKILL");
    } catch (error) {
      if (!is_errno(error, "ESRCH")) throw error;
    }
  }
}
