/**
 * Operations on one control group, given as its directory (cgroups(7); the kernel's cgroup-v2.rst). Facts and deeds, no policy: which
 * group belongs to whom is decided in `containment`. Run by the daemon and by each host. The other side is the kernel: it answers at
 * once, except that a member in uninterruptible sleep does not leave. A group that is gone has no members.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  watch,
  writeFileSync,
} from "node:fs";
import { is_errno } from "../contract/errors.ts";
import { type ProcessFacts, read_process } from "./procfs.ts";

/** ENODEV: the group was removed between open and read. */
const GONE = ["ENOENT", "ENODEV"] as const;

/** A file of a group, or null when the group, or the file (a controller that is not there), does not exist. */
export function read_group_file(dir: string, name: string): string | null {
  try {
    return readFileSync(`${dir}/${name}`, "latin1").trim();
  } catch (error) {
    if (is_errno(error, ...GONE, "EOPNOTSUPP")) return null;
    throw error;
  }
}

/** One number of a file of `key value` lines, or null. */
export function read_group_key(dir: string, name: string, key: string): number | null {
  const line = read_group_file(dir, name)
    ?.split("\n")
    .find((one) => one.startsWith(`${key} `));
  return line === undefined ? null : Number(line.slice(key.length + 1));
}

export function write_group_file(dir: string, name: string, value: string): void {
  // Not created: a file that is not there is a controller that is not there.
  writeFileSync(`${dir}/${name}`, value, { flag: "r+" });
}

/** The directories of a group and of all groups below it, deepest first. Empty when it is gone. */
function tree(dir: string): string[] {
  try {
    const children = readdirSync(dir, { withFileTypes: true }).filter((one) => one.isDirectory());
    return [...children.flatMap((one) => tree(`${dir}/${one.name}`)), dir];
  } catch (error) {
    if (is_errno(error, ...GONE, "ENOTDIR")) return [];
    throw error;
  }
}

const list_pids = (dir: string) =>
  new Set(tree(dir).flatMap((one) => (read_group_file(one, "cgroup.procs") ?? "").split("\n").map(Number)));

/**
 * The living processes of a group and of the groups below it. Listed twice, before and after their facts are read: a pid that was
 * given away in between is in the second list only if its new owner is in the group as well.
 */
export function group_members(dir: string): ProcessFacts[] {
  const facts: ProcessFacts[] = [];
  for (const pid of list_pids(dir)) {
    // 0 is a process that this pid namespace does not see.
    const one = pid > 0 ? read_process(pid) : null;
    if (one && one.state !== "Z" && one.state !== "X") facts.push(one);
  }
  if (facts.length === 0) return facts;
  const still = list_pids(dir);
  return facts.filter((one) => still.has(one.pid));
}

/** True when a process is in the group or below it, also one that cannot be seen from here. False when the group is gone. */
export function is_populated(dir: string): boolean {
  const populated = read_group_key(dir, "cgroup.events", "populated");
  return populated === null ? group_members(dir).length > 0 : populated === 1; // version 1 has no such file
}

/** Makes a group; one that is there already is as good. Rejects with the system's error, ENOENT when its parent is missing. */
export function make_group(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o755 });
  } catch (error) {
    if (!is_errno(error, "EEXIST")) throw error;
  }
}

/** Removes a group and the groups below it. False when somebody is in it (EBUSY): the kernel removes empty groups only. */
export function remove_group(dir: string): boolean {
  for (const one of tree(dir)) {
    try {
      rmdirSync(one);
    } catch (error) {
      if (is_errno(error, "EBUSY", "ENOTEMPTY")) return false;
      if (!is_errno(error, ...GONE)) throw error;
    }
  }
  return true;
}

/** Removes a directory of groups unless a group or somebody is in it, and returns whether it is gone. */
export function remove_childless(dir: string): boolean {
  try {
    rmdirSync(dir);
  } catch (error) {
    if (is_errno(error, "EBUSY", "ENOTEMPTY")) return false;
    if (!is_errno(error, ...GONE)) throw error;
  }
  return true;
}

/** Kills everybody in the group and below it at once, forks under way included. False where the kernel cannot (before 5.14, or version 1). */
export function kill_group(dir: string): boolean {
  try {
    write_group_file(dir, "cgroup.kill", "1");
    return true;
  } catch (error) {
    if (is_errno(error, ...GONE, "EACCES", "EPERM", "EOPNOTSUPP")) return false;
    throw error;
  }
}

/**
 * Stops everybody in the group and below it, so that nobody forks any more, or lets them go on. The kernel does it in its own time
 * and KILL works on the frozen. False where it cannot (version 1, before 5.2).
 */
export function freeze_group(dir: string, frozen: boolean): boolean {
  try {
    write_group_file(dir, "cgroup.freeze", frozen ? "1" : "0");
    return true;
  } catch (error) {
    if (is_errno(error, ...GONE, "EACCES", "EPERM", "EOPNOTSUPP")) return false;
    throw error;
  }
}

/** Calls back whenever the kernel says that the group was filled, emptied, frozen or thawed (inotify on cgroup.events). */
export function watch_group(dir: string, on_change: () => void): { close(): void } {
  const path = `${dir}/cgroup.events`;
  if (!existsSync(path)) return { close: () => {} }; // version 1, or gone: whoever waits looks by itself
  try {
    // The first watch takes a descriptor, which libuv never gives back: whoever looks must not be left without any.
    const one = openSync(path, "r");
    try {
      closeSync(openSync(path, "r"));
    } finally {
      closeSync(one);
    }
    const watcher = watch(path, { persistent: false }, on_change);
    // The group went away: there is nothing more to be told.
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch (error) {
    // No inotify instance or watch is left (inotify(7)): the same.
    if (is_errno(error, ...GONE, "EMFILE", "ENOSPC", "ENFILE")) return { close: () => {} };
    throw error;
  }
}
