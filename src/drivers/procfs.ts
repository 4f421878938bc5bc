/**
 * Facts about processes from Linux's /proc. No policy: who belongs to whom is decided in `containment`.
 * Run by the daemon and by each host. Reads only; a process that goes away between two reads is simply absent.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { type Birth, born_since } from "./pid-order.ts";

/** One line of proc_pid_stat(5), as far as it is needed here. `start_time` is in clock ticks since boot (field 22). */
export interface ProcessFacts extends ProcessRef {
  comm: string;
  state: string;
  ppid: number;
  pgrp: number;
  session: number;
}

/** ESRCH is what a read of an open /proc file gives when the process goes away underneath. */
const GONE = ["ENOENT", "ESRCH"] as const;

/** A process, or null when no process has that pid. A zombie is still there (state `Z`). */
export function read_process(pid: number): ProcessFacts | null {
  let text: string;
  try {
    text = read_stat(pid);
  } catch (error) {
    if (is_errno(error, ...GONE)) return null;
    throw error;
  }
  return parse_stat(pid, text);
}

/** As UTF-8, because Node reads a whole file in one call of its own for no other encoding: a look at everybody makes hundreds. */
const read_stat = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8");

/** Parses proc_pid_stat(5). The command stands in parentheses and may itself contain spaces and parentheses. */
export function parse_stat(pid: number, text: string): ProcessFacts {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  // No more than is needed: what a look at everybody leaves is garbage that a host collects in the middle of its agent's end.
  const fields = text.slice(close + 2).split(" ", 20);
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid,
    comm: text.slice(open + 1, close),
    state: fields[0] ?? "?",
    ppid: field(4),
    pgrp: field(5),
    session: field(6),
    start_time: field(22),
  };
}

/** Every process that was started at `since` (in ticks) or later, zombies included. With `birth`, of a process that began then, only the pids given out since are looked at. */
export function list_processes(since = 0, birth: Birth | null = null): ProcessFacts[] {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  // After the list: what was given out until now covers all that is in it.
  const may_be = birth && born_since(birth);
  const found: ProcessFacts[] = [];
  for (const pid of pids) {
    const facts = may_be && !may_be(pid) ? null : read_process(pid);
    if (facts && facts.start_time >= since) found.push(facts);
  }
  return found;
}

/** True while the very same process (pid and start time) exists and is not a zombie. */
export function is_alive(ref: ProcessRef): boolean {
  const facts = read_process(ref.pid);
  return facts !== null && facts.start_time === ref.start_time && facts.state !== "Z" && facts.state !== "X";
}

/** The identity of a pid now, or null. */
export function process_ref_of(pid: number): ProcessRef | null {
  const facts = read_process(pid);
  return facts && { pid, start_time: facts.start_time };
}

/**
 * True when the process was started with this environment entry (`NAME=value`). False also when its environment may not
 * be read: it then belongs to somebody else (proc_pid_environ(5) needs ptrace access).
 */
export function was_started_with(pid: number, entry: string): boolean {
  let environ: Buffer;
  try {
    environ = readFileSync(`/proc/${pid}/environ`);
  } catch (error) {
    if (is_errno(error, ...GONE, "EACCES", "EPERM")) return false;
    throw error;
  }
  const at = environ.indexOf(`${entry}\0`);
  return at === 0 || (at > 0 && environ[at - 1] === 0);
}

/** The arguments a process was started with (proc_pid_cmdline(5)); none when it is gone, or a zombie. For comparing, never for showing. */
export function arguments_of(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch (error) {
    if (is_errno(error, ...GONE)) return [];
    throw error;
  }
}

let boot: string | undefined;

/** The id of this boot: pids and start times mean nothing in another. */
export function boot_id(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  return boot;
}

/** The pid namespace we are in (pid_namespaces(7)): the same pid means another process in another one. */
export function pid_namespace(): string {
  return readlinkSync("/proc/self/ns/pid");
}

/** Kernel ticks in a second as /proc counts them (USER_HZ, time(7)): 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** What a process has used of CPU (user and system, µs, its own threads alone) and its resident memory (bytes), or null when it is gone. */
export function read_usage({ pid, start_time }: ProcessRef): { cpu_usec: number; memory_bytes: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    if (parse_stat(pid, text).start_time !== start_time) return null;
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[14 - 3]) + Number(fields[15 - 3]);
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return { cpu_usec: (ticks * 1_000_000) / TICKS_PER_SECOND, memory_bytes: Number(resident ?? 0) * 1024 };
  } catch (error) {
    if (is_errno(error, ...GONE)) return null;
    throw error;
  }
}
