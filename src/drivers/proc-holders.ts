/**
 * Who may hold some files open, by /proc alone: every process's descriptors and mappings are compared with the files' inode numbers. It names
 * too many rather than too few (numbers are compared by their low 32 bits, without the device; whom it may not look at is named as well), and lsof,
 * asked about those alone, says who it is. Run by the daemon. Asks nothing of any file system: links and fdinfo are the kernel's own words
 * (proc_pid_fd(5), proc_pid_fdinfo(5)), so that a dead network mount cannot hold it up, as a stat of each descriptor would.
 *
 * Not seen, nor by lsof over everything: descriptors on their way through a socket (SCM_RIGHTS), files registered with io_uring, the backing file
 * of a loop device, and descriptors in a table that a thread has for itself (unshare(CLONE_FILES)) while its process's leader lives.
 */
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { basename } from "node:path";
import { setImmediate as next_turn } from "node:timers/promises";
import { errno_of, is_errno, message_of } from "../contract/errors.ts";
import type { FileId } from "./lsof.ts";

/** A process that seems to hold a file. `inode` is the low half of the file's number; `path` is the name that the kernel shows. */
export interface Match {
  pid: number;
  inode: number;
  path: string;
  /** Seen in a thread alone: its process's leader has ended. lsof must be asked for threads. */
  in_thread: boolean;
}
/** `unreadable`: processes that may not be looked at; they may hold anything. */
export type Look = { ok: true; matches: Match[]; unreadable: number[] } | { ok: false; reason: string };
export type LookForHolders = (ids: readonly FileId[]) => Promise<Look>;

/** How long the daemon's event loop is kept at a time, in ms: about what one request costs. */
const SLICE_MS = 4;
/** How often it is looked for processes that appeared meanwhile. A round of a few new ones takes about 1 ms, so that only a fork bomb needs more. */
const ROUNDS = 50;
/** ESRCH and ENOENT: it went away. EINVAL: readlink(2) of a link whose process is going. */
const GONE = ["ENOENT", "ESRCH", "EINVAL"] as const;
const REFUSED = ["EACCES", "EPERM"] as const;

/**
 * Looks at every process that is there, and at those that appear while it looks, until a round finds no new one: a child is looked at even if the
 * parent from whom it has the file ended first. (A pid given away twice during one look is not noticed: the kernel takes them in turn.)
 */
export const look_for_holders: LookForHolders = async (ids) => {
  const wanted = new Set(ids.map((id) => low_half(id.inode)));
  const look: Look = { ok: true, matches: [], unreadable: [] };
  const seen = new Set<string>();
  let turn_began = performance.now();
  try {
    const hidden = why_not_look();
    if (hidden) return { ok: false, reason: hidden };
    for (let round = 0; round < ROUNDS; round++) {
      const fresh = readdirSync("/proc").filter((name) => is_pid(name) && !seen.has(name));
      if (fresh.length === 0) return look;
      for (const name of fresh) {
        seen.add(name);
        const found = look_at(name, wanted);
        if (found === "unreadable") look.unreadable.push(Number(name));
        else look.matches.push(...found);
        if (performance.now() - turn_began > SLICE_MS) {
          await next_turn();
          turn_began = performance.now();
        }
      }
    }
    return { ok: false, reason: "processes appear faster than they can be looked at" };
  } catch (error) {
    return { ok: false, reason: `/proc could not be read: ${errno_of(error) ?? message_of(error)}` };
  }
};

/** Of these matches, those that are still to be seen. */
export function look_again(matches: readonly Match[]): Match[] {
  return matches.filter((match) => {
    const found = look_at(String(match.pid), new Set([match.inode]));
    return found !== "unreadable" && found.some((one) => one.path === match.path);
  });
}

/** Why /proc cannot tell who holds a file, or null. The reason is one line for people. */
export function why_not_look(): string | null {
  // With hidepid (proc(5)) other users' processes are not in the list; an lsof that has more rights than we may see them.
  if (!existsSync("/proc/1")) return "/proc is not mounted, or hides processes (hidepid)";
  const fd = openSync("/proc/self/stat", "r");
  try {
    // Linux 5.14.
    if (fdinfo_inode("self", String(fd)) === null) return "this kernel does not tell a descriptor's inode";
  } finally {
    closeSync(fd);
  }
  return null;
}

/** True when the match goes by the file's own name, wherever that is mounted: then it is this file, and not another with the same number. */
export function has_name_of(match: Match, path: string): boolean {
  return basename(match.path.replace(/ \(deleted\)$/, "")) === basename(path);
}

/** Inode numbers are compared by this half, which is the same where a number is cut to 32 bits, or has the layer of an overlay in its upper bits. */
export function low_half(inode: bigint): number {
  return Number(inode & 0xffff_ffffn);
}

const is_pid = (name: string) => name.charCodeAt(0) <= 57 && name.charCodeAt(0) >= 49;

function look_at(pid: string, wanted: ReadonlySet<number>): Match[] | "unreadable" {
  const matches: Match[] = [];
  try {
    const open = look_at_descriptors(pid, Number(pid), wanted, matches);
    look_at_mappings(pid, Number(pid), wanted, matches);
    // Nothing at all may be a leader that has ended before its threads, who have it all.
    if (open > 0) return matches;
    const threads = readdirSync(`/proc/${pid}/task`).filter((thread) => thread !== pid);
    for (const thread of threads) {
      unless_gone(() => look_at_descriptors(`${pid}/task/${thread}`, Number(pid), wanted, matches, true));
      unless_gone(() => look_at_mappings(`${pid}/task/${thread}`, Number(pid), wanted, matches, true));
    }
  } catch (error) {
    if (is_errno(error, ...REFUSED)) return "unreadable";
    if (!is_errno(error, ...GONE)) throw error;
  }
  return matches;
}

function unless_gone(look: () => unknown): void {
  try {
    look();
  } catch (error) {
    if (!is_errno(error, ...GONE)) throw error;
  }
}

/** How many descriptors there are. */
function look_at_descriptors(
  place: string,
  pid: number,
  wanted: ReadonlySet<number>,
  matches: Match[],
  in_thread = false,
): number {
  const names = readdirSync(`/proc/${place}/fd`);
  for (const name of names) {
    let path: string;
    let inode: number | null;
    try {
      path = readlinkSync(`/proc/${place}/fd/${name}`);
      // What has no name in a file system: `socket:[…]`, `pipe:[…]`, `anon_inode:…`.
      if (path !== "" && path.charCodeAt(0) !== 47 /* / */) continue;
      if (is_device(path)) continue;
      inode = fdinfo_inode(place, name);
    } catch (error) {
      // Closed since the directory was read.
      if (is_errno(error, ...GONE)) continue;
      throw error;
    }
    if (inode === null) throw new Error("a descriptor without an inode");
    if (wanted.has(inode)) matches.push({ pid, inode, path, in_thread });
  }
  return names.length;
}

/** Terminals and /dev/null are most of what is open. Only who mounted a file of ours over such a name could hold it by that. */
const is_device = (path: string) => path === "/dev/null" || path.startsWith("/dev/pts/");

const SMALL = Buffer.allocUnsafe(4096);

/** The low half of the inode number of a descriptor's file, or null when the kernel does not say. */
function fdinfo_inode(place: string, name: string): number | null {
  const file = openSync(`/proc/${place}/fdinfo/${name}`, "r");
  let text: string;
  try {
    text = SMALL.toString("latin1", 0, readSync(file, SMALL, 0, SMALL.length, 0));
  } finally {
    closeSync(file);
  }
  const found = /^ino:\t(\d+)$/m.exec(text)?.[1];
  return found === undefined ? null : low_half(BigInt(found));
}

/** Grows to the longest table of mappings there is; one read is one page of it in most kernels. */
let text = Buffer.allocUnsafe(256 * 1024);

/** proc_pid_maps(5): `from-to perms offset major:minor inode   path`, the inode 0 for what is no file. */
function look_at_mappings(
  place: string,
  pid: number,
  wanted: ReadonlySet<number>,
  matches: Match[],
  in_thread = false,
): void {
  const end = read_whole(`/proc/${place}/maps`);
  const known = new Set<number>();
  for (let at = 0; at < end; ) {
    let spaces = 0;
    while (spaces < 4 && at < end) if (text[at++] === 32 /* space */) spaces++;
    let inode = 0;
    for (let digit = text[at] as number; digit >= 48 && digit <= 57; digit = text[++at] as number)
      inode = (inode * 10 + digit - 48) % 0x1_0000_0000;
    const line_ends = text.indexOf(10 /* newline */, at);
    const stop = line_ends < 0 || line_ends > end ? end : line_ends;
    if (inode !== 0 && wanted.has(inode) && !known.has(inode)) {
      known.add(inode);
      matches.push({ pid, inode, path: text.toString("utf8", at, stop).trim(), in_thread });
    }
    at = stop + 1;
  }
}

/** Into `text`; how much there is. */
function read_whole(path: string): number {
  const file = openSync(path, "r");
  try {
    let end = 0;
    for (;;) {
      if (text.length - end < 64 * 1024) text = Buffer.concat([text, Buffer.allocUnsafe(text.length)]);
      const got = readSync(file, text, end, text.length - end, null);
      if (got === 0) return end;
      end += got;
    }
  } finally {
    closeSync(file);
  }
}
