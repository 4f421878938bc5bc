/**
 * What one process has open or mapped, by /proc alone, as far as it has one of some inode numbers. Run by the thread that looks. Asks nothing of any file system: links and
 * fdinfo are the kernel's own words (proc_pid_fd(5), proc_pid_fdinfo(5)), so that a dead network mount cannot hold it up, as a stat of each descriptor would.
 */
import { closeSync, openSync, readdirSync, readlinkSync, readSync, statSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";
import { list_mounts } from "./mounts.ts";
import { find_mapped, read_mappings } from "./proc-mappings.ts";

/** A process that seems to hold a file. */
export interface Match {
  pid: number;
  /** The inode number that the kernel shows. */
  inode: bigint;
  /** `major:minor` of its file system (as in mountinfo, not as stat(2) has it), or null where it is not known. */
  device: string | null;
  /** The name that the kernel shows, or null when it is too long to be shown. */
  path: string | null;
  /** It is a mapping; else a descriptor. */
  mapped: boolean;
  /** Seen in a thread alone: it has its own table, or its process's leader has ended. lsof must be asked for threads. */
  in_thread: boolean;
}

/** False for a process that is there and of which nobody can tell what it holds: another user's, or one that may not be traced. */
export function may_look_at(pid: number): boolean {
  try {
    readdirSync(`/proc/${pid}/fd`);
    return true;
  } catch (error) {
    if (is_errno(error, ...REFUSED)) return false;
    if (is_errno(error, ...GONE)) return true;
    throw error;
  }
}

export interface OpenFiles {
  matches: Match[];
  /** `vanished`: it ended before all of it was seen, and may have left what it had to a child. `unreadable`: it may not be looked at. */
  state: "whole" | "vanished" | "unreadable";
  /** Its program's file is not among its mappings, so that its inode is not known here. */
  runs_unmapped: boolean;
}

/** ESRCH and ENOENT: it went away. EINVAL: readlink(2) of a link whose process is going. */
const GONE = ["ENOENT", "ESRCH", "EINVAL"] as const;
const REFUSED = ["EACCES", "EPERM"] as const;

/** Inode numbers are compared by this half, which is the same where a number is cut to 32 bits, or has the layer of an overlay in its upper bits. */
export function low_half(inode: bigint): number {
  return Number(inode & 0xffff_ffffn);
}

/** `wanted`: low halves. Without `mappings` only at descriptors, which costs a quarter less. */
export function look_at(pid: number, wanted: ReadonlySet<number>, mappings: boolean): OpenFiles {
  const found: OpenFiles = { matches: [], state: "whole", runs_unmapped: false };
  const look = { pid, wanted, mappings, matches: found.matches };
  try {
    const open = look_at_descriptors(`${pid}`, look);
    const text = mappings ? unless_gone(() => read_mappings(`${pid}`)) : null;
    const mapped = text !== null && text.length > 0;
    if (mapped) {
      note_mapped(text, look, false);
      found.runs_unmapped = unless_gone(() => runs_unmapped(pid, text)) ?? false;
    }
    // A process always has mappings, and nearly always a descriptor: without, it is the kernel's own, or going, or its leader has ended before its threads.
    const lives = mappings ? mapped : open !== 0;
    if (open === "vanished" || !lives) found.state = "vanished";
    look_at_threads(open === "vanished" ? 0 : open, lives, look);
  } catch (error) {
    if (is_errno(error, ...REFUSED)) found.state = "unreadable";
    else if (is_errno(error, ...GONE)) found.state = "vanished";
    else throw error;
  }
  return found;
}

interface Looking {
  pid: number;
  wanted: ReadonlySet<number>;
  mappings: boolean;
  matches: Match[];
}

/** Threads that have what their leader does not have: those with a table of descriptors of another length, and all when the leader has ended. */
function look_at_threads(open: number, lives: boolean, look: Looking): void {
  const { pid } = look;
  if (statSync(`/proc/${pid}/task`).nlink <= ONE_THREAD) return;
  let seen = lives || !look.mappings;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    if (thread === `${pid}`) continue;
    const place = `${pid}/task/${thread}`;
    if (lives && unless_gone(() => length_of_table(place)) === open) continue;
    unless_gone(() => look_at_descriptors(place, look, true));
    if (seen) continue;
    const text = unless_gone(() => read_mappings(place));
    if (text === null || text.length === 0) continue;
    note_mapped(text, look, true);
    seen = true;
  }
}

/** Links of a `task` directory: `.`, `..`, and one for each thread. */
const ONE_THREAD = 3;

/** stat(2) says it since Linux 6.2. */
const length_of_table = (place: string): number =>
  statSync(`/proc/${place}/fd`).size || readdirSync(`/proc/${place}/fd`).length;

function unless_gone<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (!is_errno(error, ...GONE)) throw error;
    return null;
  }
}

/** How many descriptors there are. Twice when one was closed meanwhile: it may have become another. */
function look_at_descriptors(place: string, look: Looking, in_thread = false): number | "vanished" {
  for (let again = false; ; again = true) {
    const names = readdirSync(`/proc/${place}/fd`);
    let lost = 0;
    for (const name of names) {
      try {
        look_at_descriptor(place, name, look, in_thread);
      } catch (error) {
        if (!is_errno(error, ...GONE)) throw error;
        lost++;
      }
    }
    if (lost === 0) return names.length;
    // Whoever ends closes all.
    if (readdirSync(`/proc/${place}/fd`).length === 0) return "vanished";
    if (again) return names.length;
  }
}

function look_at_descriptor(place: string, name: string, { pid, wanted, matches }: Looking, in_thread: boolean): void {
  const path = name_of(`/proc/${place}/fd/${name}`);
  if (path !== null && is_no_file(path)) return;
  const seen = read_fdinfo(place, name);
  if (seen === null) throw new Error("a descriptor without an inode");
  if (!wanted.has(low_half(seen.inode)) || matches.some((one) => is_same(one, seen.inode, path, in_thread))) return;
  const device = list_mounts().find((mount) => mount.id === seen.mount)?.device ?? null;
  matches.push({ pid, inode: seen.inode, device, path, mapped: false, in_thread });
}

/** A thousand descriptors of one file are one match. */
const is_same = (one: Match, inode: bigint, path: string | null, in_thread: boolean) =>
  !one.mapped && one.inode === inode && one.path === path && one.in_thread === in_thread;

function note_mapped(text: Buffer, { pid, wanted, matches }: Looking, in_thread: boolean): void {
  for (const match of find_mapped(text, wanted)) matches.push({ pid, ...match, mapped: true, in_thread });
}

/** Null for a name that is longer than the kernel can show. */
function name_of(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch (error) {
    if (is_errno(error, "ENAMETOOLONG")) return null;
    throw error;
  }
}

/**
 * What has no name in a file system (`socket:[…]`, `pipe:[…]`, `anon_inode:…`), and terminals and /dev/null, which are most of what is open. Only
 * who mounted a file of ours over such a name could hold it by that.
 */
const is_no_file = (path: string) =>
  (path !== "" && path.charCodeAt(0) !== 47) /* / */ ||
  path === "/dev/null" ||
  path === "/dev/ptmx" ||
  path.startsWith("/dev/pts/");

const SMALL = Buffer.allocUnsafe(4096);

/** A descriptor's inode number and the id of its mount, or null when this kernel does not say (before Linux 5.14). */
export function read_fdinfo(place: string, name: string): { inode: bigint; mount: string } | null {
  const file = openSync(`/proc/${place}/fdinfo/${name}`, "r");
  let text: string;
  try {
    text = SMALL.toString("latin1", 0, readSync(file, SMALL, 0, SMALL.length, 0));
  } finally {
    closeSync(file);
  }
  const found = /^mnt_id:\t(\d+)\nino:\t(\d+)$/m.exec(text);
  return found && { mount: found[1] as string, inode: BigInt(found[2] as string) };
}

/** True when it runs a file that it has not mapped any more, as packed programs do. */
function runs_unmapped(pid: number, mappings: Buffer): boolean {
  const program = name_of(`/proc/${pid}/exe`);
  return program === null || !mappings.includes(`${program}\n`);
}
