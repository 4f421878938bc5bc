/**
 * Who may hold some files open: first the kernel's word by a lease (`lease`), then a look through /proc. Where leases say that nobody has any of the files, only descriptors of
 * a path alone are left to be looked for; otherwise what every process has open, has mapped and runs is compared with the files' inode numbers. A look names too many rather than
 * too few (numbers are compared by their low 32 bits, without the device; whom it may not look at is named as well), and lsof, asked about those alone, says who it is. Run by
 * the thread that looks (`look-thread`).
 *
 * Not seen by a look, nor by lsof over everything: descriptors on their way through a socket (SCM_RIGHTS), files registered with io_uring, and the backing file
 * of a loop device; a lease is refused for each. Of threads that have a table of descriptors of their own (unshare(CLONE_FILES)) only those are seen whose table is of
 * another length than their leader's; lsof over everything sees none.
 */
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { trouble } from "../contract/errors.ts";
import type { LeaseAnswer, Leases } from "./lease.ts";
import type { FileId } from "./lsof.ts";
import { list_mounts } from "./mounts.ts";
import { look_at, low_half, type Match, read_fdinfo } from "./proc-open-files.ts";

export { low_half, type Match } from "./proc-open-files.ts";

/** A file that is looked for. */
export interface Sought extends FileId {
  /** The name by which a lease may be asked for: who opens the file in these microseconds waits, or gets EAGAIN with O_NONBLOCK. */
  lease_by?: string;
  /** Known to be open, by a descriptor: nobody asks who has it mapped. */
  open_only?: true;
}

/**
 * `ask_about`: processes of which /proc does not tell all, and which may hold anything. `leases`: what each lease that was asked for said, by its name.
 * `restless`: processes end and begin too fast to be looked at, and might hand a file on for ever; lsof is no better at that.
 */
export type Look =
  | { ok: true; matches: Match[]; ask_about: number[]; leases?: ReadonlyMap<string, LeaseAnswer> }
  | { ok: false; restless?: boolean; reason: string };

export interface LookOptions {
  /** The witness, or why there is none. */
  leases: Leases | string;
  /**
   * Processes that are known not to have any file by its path alone. They are left out where leases tell of all else.
   */
  trusted?: readonly number[];
  /** Told whom it is the turn of; 0 before all processes. */
  at?: (pid: number) => void;
}

/** How often it is looked for processes that appeared meanwhile. A round of a few new ones takes about 1 ms, and one in which none of them ended is the last. */
const ROUNDS = 50;

/**
 * Looks at every process that is there, and at those that appear while it looks, until a round in which none ended before it was seen: a child is
 * looked at even if the parent from whom it has the file ended first. (A pid given away twice during one look is not noticed: the kernel takes them
 * in turn.) Never throws.
 */
export function look_through_proc(sought: readonly Sought[], options: LookOptions): Look {
  try {
    options.at?.(0);
    const reason = why_not_look();
    if (reason !== null) return { ok: false, reason };
    const leases = ask_leases(sought, options.leases);
    // A lease sees mappings: of the files that nobody has so, none is looked for.
    const mappings = sought.some((one) => !one.open_only && leases.get(one.lease_by ?? "")?.answer !== "granted");
    const look = look_at_all(sought, mappings, options);
    return look.ok ? { ...look, leases } : look;
  } catch (error) {
    return { ok: false, reason: `/proc could not be read: ${trouble(error)}` };
  }
}

function ask_leases(sought: readonly Sought[], leases: Leases | string): Map<string, LeaseAnswer> {
  const asked = sought.flatMap((one) => (one.lease_by === undefined ? [] : [[one.lease_by, one] as const]));
  if (asked.length === 0) return new Map();
  if (typeof leases === "string")
    return new Map(asked.map(([path]) => [path, { answer: "impossible" as const, reason: leases }]));
  const mounts = list_mounts();
  return new Map(asked.map(([path, id]) => [path, leases.ask(path, id, mounts)]));
}

function look_at_all(sought: readonly FileId[], mappings: boolean, { trusted = [], at }: LookOptions): Look {
  const wanted = new Set(sought.map((id) => low_half(id.inode)));
  const look = { ok: true as const, matches: [] as Match[], ask_about: [] as number[] };
  const seen = new Set<string>(mappings ? [] : trusted.map(String));
  for (let round = 0; round < ROUNDS; round++) {
    let vanished = false;
    for (const name of readdirSync("/proc")) {
      if (!is_pid(name) || seen.has(name)) continue;
      seen.add(name);
      const pid = Number(name);
      at?.(pid);
      const found = look_at(pid, wanted, mappings);
      look.matches.push(...found.matches);
      if (found.state === "unreadable" || found.runs_unmapped) look.ask_about.push(pid);
      vanished ||= found.state === "vanished";
    }
    // The list itself takes its time: whoever ends while it is made may have a child that is not in it.
    if (round > 0 && !vanished) return look;
  }
  return { ok: false, restless: true, reason: "processes begin and end faster than they can be looked at" };
}

/** Of these matches, those that are still to be seen, by their places in the list. */
export function look_again(matches: readonly Match[], at?: (pid: number) => void): number[] {
  return matches.flatMap((match, index) => {
    at?.(match.pid);
    const { matches: found } = look_at(match.pid, new Set([low_half(match.inode)]), match.mapped);
    return found.some((one) => one.path === match.path && one.mapped === match.mapped) ? [index] : [];
  });
}

/** Why /proc cannot tell who holds a file, or null. The reason is one line for people. */
export function why_not_look(): string | null {
  // With hidepid (proc(5)) other users' processes are not in the list; an lsof that has more rights than we may see them.
  if (!existsSync("/proc/1")) return "/proc is not mounted, or hides processes (hidepid)";
  const fd = openSync("/proc/self/stat", "r");
  try {
    // Linux 5.14.
    if (read_fdinfo("self", String(fd)) === null) return "this kernel does not tell a descriptor's inode";
  } finally {
    closeSync(fd);
  }
  return null;
}

/** True when the match goes by the file's own name, wherever that is mounted: then it is this file, and not another with the same number. */
export function has_name_of(match: Match, path: string): boolean {
  return match.path === null || basename(match.path.replace(/ \(deleted\)$/, "")) === basename(path);
}

const is_pid = (name: string) => name.charCodeAt(0) <= 57 && name.charCodeAt(0) >= 49;
