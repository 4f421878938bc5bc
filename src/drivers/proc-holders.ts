/**
 * Who may hold some files open, by /proc alone: what every process has open, has mapped and runs is compared with the files' inode numbers. It names
 * too many rather than too few (numbers are compared by their low 32 bits, without the device; whom it may not look at is named as well), and lsof,
 * asked about those alone, says who it is. Run by the daemon.
 *
 * Not seen, nor by lsof over everything: descriptors on their way through a socket (SCM_RIGHTS), files registered with io_uring, and the backing file
 * of a loop device. Of threads that have a table of descriptors of their own (unshare(CLONE_FILES)) only those are seen whose table is of
 * another length than their leader's; lsof over everything sees none.
 */
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { setImmediate as next_turn } from "node:timers/promises";
import { trouble } from "../contract/errors.ts";
import type { FileId } from "./lsof.ts";
import {
  look_at,
  low_half,
  type Match,
  type Pause,
  type ReadMappings,
  read_fdinfo,
  read_mappings_of,
} from "./proc-open-files.ts";

export { low_half, type Match } from "./proc-open-files.ts";

/**
 * `ask_about`: processes of which /proc does not tell all, and which may hold anything. `restless`: processes end and begin too fast to be looked
 * at, and might hand a file on for ever; lsof is no better at that.
 */
export type Look =
  | { ok: true; matches: Match[]; ask_about: number[] }
  | { ok: false; restless?: boolean; reason: string };
export type LookForHolders = (ids: readonly FileId[]) => Promise<Look>;

/** How long the daemon's event loop is kept at a time, in ms: about what one request costs. */
const SLICE_MS = 4;
/** How often it is looked for processes that appeared meanwhile. A round of a few new ones takes about 1 ms, and one in which none of them ended is the last. */
const ROUNDS = 50;
/** How long one process's mappings are waited for: a table of 60,000 takes 60 ms. Far below lsof's own deadline, which may be waited for after. In ms. */
const PATIENCE_MS = 3_000;

/**
 * Looks at every process that is there, and at those that appear while it looks, until a round in which none ended before it was seen: a child is
 * looked at even if the parent from whom it has the file ended first. (A pid given away twice during one look is not noticed: the kernel takes them
 * in turn.)
 */
export function make_look(read_mappings: ReadMappings = patient_read): LookForHolders {
  return async (ids) => {
    try {
      const reason = why_not_look();
      return reason === null ? await look_at_all(ids, read_mappings) : { ok: false, reason };
    } catch (error) {
      return { ok: false, reason: `/proc could not be read: ${trouble(error)}` };
    }
  };
}

/** Rejects when the mappings do not come; until they do, whoever comes next is told so at once, so that one thread of the pool hangs at most. */
export function patiently(read_mappings: ReadMappings, patience_ms = PATIENCE_MS): ReadMappings {
  let hangs: string | null = null;
  return async (place, at_once) => {
    const no_answer = (whose: string) => new Error(`the mappings of process ${whose} do not come`);
    if (hangs !== null) throw no_answer(hangs);
    const reading = read_mappings(place, at_once);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        hangs = place;
        const come = () => {
          hangs = null;
        };
        reading.then(come, come);
        reject(no_answer(place));
      }, patience_ms);
    });
    try {
      return await Promise.race([reading, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}

const patient_read = patiently(read_mappings_of);
export const look_for_holders = make_look();

async function look_at_all(ids: readonly FileId[], read_mappings: ReadMappings): Promise<Look> {
  const wanted = new Set(ids.map((id) => low_half(id.inode)));
  const look = { ok: true as const, matches: [] as Match[], ask_about: [] as number[] };
  const seen = new Set<string>();
  const pause = in_slices();
  for (let round = 0; round < ROUNDS; round++) {
    let vanished = false;
    for (const name of readdirSync("/proc")) {
      if (!is_pid(name) || seen.has(name)) continue;
      seen.add(name);
      const pid = Number(name);
      const found = await look_at(pid, wanted, pause, read_mappings, round > 0);
      look.matches.push(...found.matches);
      if (found.state === "unreadable" || found.runs_unmapped) look.ask_about.push(pid);
      vanished ||= found.state === "vanished";
      await pause();
    }
    // The list itself takes its time: whoever ends while it is made may have a child that is not in it.
    if (round > 0 && !vanished) return look;
  }
  return { ok: false, restless: true, reason: "processes begin and end faster than they can be looked at" };
}

/** Of these matches, those that are still to be seen. */
export async function look_again(matches: readonly Match[]): Promise<Match[]> {
  const pause = in_slices();
  const still: Match[] = [];
  for (const match of matches) {
    const { matches: found } = await look_at(match.pid, new Set([low_half(match.inode)]), pause, patient_read);
    if (found.some((one) => one.path === match.path && one.mapped === match.mapped)) still.push(match);
  }
  return still;
}

function in_slices(): Pause {
  let turn_began = performance.now();
  return async () => {
    if (performance.now() - turn_began < SLICE_MS) return;
    await next_turn();
    turn_began = performance.now();
  };
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
