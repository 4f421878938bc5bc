/**
 * What one process has open or mapped, by /proc alone, as far as it has one of some inode numbers. Run by the daemon. Asks nothing of any file
 * system: links and fdinfo are the kernel's own words (proc_pid_fd(5), proc_pid_fdinfo(5)), so that a dead network mount cannot hold it up, as a
 * stat of each descriptor would. A table of mappings is the one thing that may have to be waited for: a process that waits for memory or for a
 * disk may keep its lock (mmap_lock, before Linux 6.17). So it is asked for by a thread of the pool, and not by the event loop.
 */
import { closeSync, openSync, read, readdirSync, readlinkSync, readSync, statSync } from "node:fs";
import { promisify } from "node:util";
import { is_errno } from "../contract/errors.ts";
import { list_mounts } from "./mounts.ts";

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

/** Gives the event loop its turn when it is time. */
export type Pause = () => Promise<void>;

/** ESRCH and ENOENT: it went away. EINVAL: readlink(2) of a link whose process is going. */
const GONE = ["ENOENT", "ESRCH", "EINVAL"] as const;
const REFUSED = ["EACCES", "EPERM"] as const;

/** Inode numbers are compared by this half, which is the same where a number is cut to 32 bits, or has the layer of an overlay in its upper bits. */
export function low_half(inode: bigint): number {
  return Number(inode & 0xffff_ffffn);
}

/** `wanted`: low halves. `at_once`: it has just begun, and may soon have ended. */
export async function look_at(
  pid: number,
  wanted: ReadonlySet<number>,
  pause: Pause,
  read_mappings: ReadMappings,
  at_once = false,
): Promise<OpenFiles> {
  const found: OpenFiles = { matches: [], state: "whole", runs_unmapped: false };
  const look = { pid, wanted, pause, matches: found.matches };
  try {
    const open = await look_at_descriptors(`${pid}`, look);
    const text = await unless_gone(() => read_mappings(`${pid}`, at_once));
    const mapped = text !== null && text.length > 0;
    if (mapped) {
      look_at_mappings(text, look);
      found.runs_unmapped = (await unless_gone(() => runs_unmapped(pid, text))) ?? false;
    }
    // A process always has mappings: without, it is the kernel's own, or going, or its leader has ended before its threads.
    if (open === "vanished" || !mapped) found.state = "vanished";
    await look_at_threads(open === "vanished" ? 0 : open, mapped, look, read_mappings);
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
  pause: Pause;
  matches: Match[];
}

/** Threads that have what their leader does not have: those with a table of descriptors of another length, and all when the leader has ended. */
async function look_at_threads(
  open: number,
  mapped: boolean,
  look: Looking,
  read_mappings: ReadMappings,
): Promise<void> {
  const { pid } = look;
  if (mapped && statSync(`/proc/${pid}/task`).nlink <= ONE_THREAD) return;
  let seen = mapped;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    if (thread === `${pid}`) continue;
    const place = `${pid}/task/${thread}`;
    await look.pause();
    if (mapped && (await unless_gone(() => length_of_table(place))) === open) continue;
    await unless_gone(() => look_at_descriptors(place, look, true));
    if (seen) continue;
    const text = await unless_gone(() => read_mappings(place, false));
    if (text === null || text.length === 0) continue;
    look_at_mappings(text, look, true);
    seen = true;
  }
}

/** Links of a `task` directory: `.`, `..`, and one for each thread. */
const ONE_THREAD = 3;

/** stat(2) says it since Linux 6.2. */
const length_of_table = (place: string): number =>
  statSync(`/proc/${place}/fd`).size || readdirSync(`/proc/${place}/fd`).length;

async function unless_gone<T>(look: () => T | Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (!is_errno(error, ...GONE)) throw error;
    return null;
  }
}

/** How many descriptors there are. Twice when one was closed meanwhile: it may have become another. */
async function look_at_descriptors(place: string, look: Looking, in_thread = false): Promise<number | "vanished"> {
  for (let again = false; ; again = true) {
    const names = readdirSync(`/proc/${place}/fd`);
    let lost = 0;
    for (const [index, name] of names.entries()) {
      if (index % 64 === 63) await look.pause();
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
  (path !== "" && path.charCodeAt(0) !== 47) /* / */ || path === "/dev/null" || path.startsWith("/dev/pts/");

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

/** The whole of a `maps` file; empty for who has no memory. `at_once`: without a turn of the pool, which a process of a millisecond does not outlive. */
export type ReadMappings = (place: string, at_once: boolean) => Promise<Buffer>;
const read_some = promisify(read);

/** Lent to one read at a time. Grows to the longest table there is. */
let spare: Buffer | null = null;

/** The first read has to get the lock, and so is the pool's; each later one, of a page, costs a tenth when it is made here. */
export const read_mappings_of: ReadMappings = async (place, at_once) => {
  const file = openSync(`/proc/${place}/maps`, "r");
  let text = spare ?? Buffer.allocUnsafe(256 * 1024);
  spare = null;
  try {
    const first = at_once
      ? readSync(file, text, 0, text.length, null)
      : (await read_some(file, text, 0, text.length, null)).bytesRead;
    for (let end = first; ; ) {
      const got = end === 0 ? 0 : readSync(file, text, end, text.length - end, null);
      if (got === 0) return Buffer.from(text.subarray(0, end));
      end += got;
      if (text.length - end < 64 * 1024) text = Buffer.concat([text, Buffer.allocUnsafe(text.length)]);
    }
  } finally {
    spare = text;
    closeSync(file);
  }
};

/** proc_pid_maps(5): `from-to perms offset major:minor inode   path`, the inode 0 for what is no file. */
function look_at_mappings(text: Buffer, { pid, wanted, matches }: Looking, in_thread = false): void {
  const end = text.length;
  const known = new Set<number>();
  for (let at = 0; at < end; ) {
    const begin = at;
    let spaces = 0;
    while (spaces < 4 && at < end) if (text[at++] === 32 /* space */) spaces++;
    let inode = 0;
    for (let digit = text[at] as number; digit >= 48 && digit <= 57; digit = text[++at] as number)
      inode = (inode * 10 + digit - 48) % 0x1_0000_0000;
    const line_ends = text.indexOf(10 /* newline */, at);
    const stop = line_ends < 0 ? end : line_ends;
    if (inode !== 0 && wanted.has(inode) && !known.has(inode)) {
      const match = parse_mapping(text.toString("utf8", begin, stop));
      if (!match) throw new Error("a mapping that is not as proc_pid_maps(5) has it");
      known.add(inode);
      matches.push({ pid, ...match, mapped: true, in_thread });
    }
    at = stop + 1;
  }
}

function parse_mapping(line: string): Pick<Match, "inode" | "device" | "path"> | null {
  const found = /^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+)\s*(.*)$/s.exec(line);
  if (!found) return null;
  const [major, minor] = [found[1], found[2]].map((half) => Number.parseInt(half as string, 16));
  return { device: `${major}:${minor}`, inode: BigInt(found[3] as string), path: found[4] as string };
}

/** True when it runs a file that it has not mapped any more, as packed programs do. */
function runs_unmapped(pid: number, mappings: Buffer): boolean {
  const program = name_of(`/proc/${pid}/exe`);
  return program === null || !mappings.includes(`${program}\n`);
}
