/**
 * Whether a process is younger than another one, by its pid alone: reading its start time costs three system calls and 15 µs, for each process there is, and a host that looks
 * for its agent's family needs none that is older. The kernel gives pids out in ascending order, from the largest to the smallest again (`idr_alloc_cyclic` in its
 * kernel/pid.c; ns_last_pid is where it stands): so as long as it has not come round, all pids that were given out since a process was born lie between that
 * process's own and the last one. Whether it may have come round is told by the number of forks since boot (proc_stat(5), `processes`), which counts those of all namespaces. Where
 * any of this cannot be known, nothing is said. Who may choose pids (CAP_CHECKPOINT_RESTORE) can deceive it, and could as well have left the agent's control group.
 */
import { readFileSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";

/** The moment at which a process was born, by what the kernel counts. */
export interface Birth {
  pid: number;
  /** Forks since boot, read soon after. */
  forks: number;
}

/** Between the birth and the reading of `forks` no more pids than these can have been given out, or the two numbers are not of one namespace. */
const AT_ONCE = 1_000;

/** The birth of a process that has just been started; null where the kernel does not tell. */
export function mark_birth(pid: number): Birth | null {
  const now = read_counts();
  return now && distance(pid, now.last_pid, now.pid_max) < AT_ONCE ? { pid, forks: now.forks } : null;
}

/**
 * Tells of pids that were listed before this call whether theirs may be a process that was born with `birth` or later. Null when that cannot be told: too many were born
 * since. Half of all pids are kept as a distance, for those that the kernel passes over because they are in use, or gives out for a fork that then fails.
 */
export function born_since(birth: Birth, now = read_counts()): ((pid: number) => boolean) | null {
  if (!now) return null;
  const given_out = now.forks - birth.forks + AT_ONCE;
  if (given_out < 0 || 2 * (given_out + now.tasks) > now.pid_max) return null;
  const reach = distance(birth.pid, now.last_pid, now.pid_max);
  return (pid) => distance(birth.pid, pid, now.pid_max) <= reach;
}

/** How far it is from one pid to another in the order in which they are given out. */
const distance = (from: number, to: number, pid_max: number) => (to - from + pid_max) % pid_max;

/** What the kernel says of its pids. */
export interface Counts {
  last_pid: number;
  pid_max: number;
  forks: number;
  /** Threads there are: each has a number of its own. */
  tasks: number;
}

function read_counts(): Counts | null {
  try {
    const forks = Number(/^processes (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]);
    const tasks = Number(/\/(\d+) /.exec(readFileSync("/proc/loadavg", "utf8"))?.[1]);
    const pid_max = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
    const last_pid = Number(readFileSync("/proc/sys/kernel/ns_last_pid", "utf8"));
    return [forks, tasks, pid_max, last_pid].every(Number.isInteger) ? { forks, tasks, pid_max, last_pid } : null;
  } catch (error) {
    // A kernel without CONFIG_CHECKPOINT_RESTORE has no ns_last_pid.
    if (is_errno(error, "ENOENT", "EACCES", "EPERM")) return null;
    throw error;
  }
}
