/**
 * lsof: who holds which file open. Run by the daemon. An lsof that is missing, slow, garbled or cut short, or that does not find what is
 * known to be open, gives no answer at all: "I can't tell" is never "gone".
 */
import { dirname } from "node:path";
import { is_used_up, trouble } from "../contract/errors.ts";
import type { Holder } from "../contract/receipt.ts";
import { run_bounded } from "./bounded.ts";
import { elsewhere, list_mounts } from "./mounts.ts";
import { ask_version, type VersionOptions } from "./version.ts";

/** lsof looks at every process: 44 ms with 100 of them, 343 ms with 900. Past this it hangs. In ms. */
const DEADLINE_MS = 15_000;
/** About 100,000 holders; nobody has so many, so that more is no answer but a fault. In bytes. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

/** Which file it is: st_dev and st_ino (stat(2)), as `stat` with `bigint: true` gives them. An inode number alone is not unique. */
export interface FileId {
  device: bigint;
  inode: bigint;
}

/** lsof escapes names it cannot print, so that a holder is matched by device and inode, never by the name. `device` is null where lsof did not say. */
export type RawHolder = Omit<Holder, "whose"> & { device: bigint | null; inode: bigint };
export type LsofAnswer = { ok: true; holders: RawHolder[] } | { ok: false; reason: string };
export interface Canary {
  path: string;
  id: FileId;
  pid: number;
}
export interface LsofOptions {
  deadline_ms?: number;
  program?: string;
  /** Only these processes are looked at, which takes a hundredth of the time; the canary's holder is always one of them. */
  among?: { pids: readonly number[]; threads_of: readonly number[] };
}

/**
 * Asks for the holders of existing files. `canary` is a file that process `pid` holds open: an answer in which it is missing is
 * no answer (lsof exits 1 both when a file is not open and when it fails, so that its exit code proves little).
 *
 * A dead network mount anywhere makes lsof wait in stat(2), since it looks at every mount and every descriptor. Of its remedies (measured
 * with lsof 4.95 and a FUSE server under SIGSTOP, a process holding a file there): none, or `-O`: no answer in 12 s; `-b`: at once, but it
 * finds no file at all; `-S 2`: 7.7 s, and what it could not look at is left out without a word; `-e MOUNT`: 0.04 s and complete. So remote
 * mounts on which none of the files lies are exempted by `-e`; on another file system nobody can hold them.
 *
 * `-O` keeps lsof from asking a child of its own for each mount, which costs more than all else when it is asked about a few processes (5 of 7 ms). The child is there so that
 * lsof can go on without what does not answer in 15 s: what is left out without a word is no answer here, and lsof as a whole has a deadline.
 */
export async function lsof(
  files: readonly string[],
  canary: Canary,
  { among, ...options }: LsofOptions = {},
): Promise<LsofAnswer> {
  const holders: RawHolder[] = [];
  for (const some of portions(files)) {
    const asked = [canary.path, ...some];
    const ask = (limits: string[]) => answer_of(() => [...limits, ...exempt(asked), "--", ...asked], canary, options);
    // With -K and -a lsof looks at threads alone (seen with 4.95), so that they are asked for beside the processes.
    const answers = among
      ? await Promise.all([
          ask(only([canary.pid, ...among.pids])),
          ...(among.threads_of.length > 0 ? [ask(["-K", ...only([canary.pid, ...among.threads_of])])] : []),
        ])
      : [await ask([])];
    for (const answer of answers) {
      if (!answer.ok) return answer;
      holders.push(...answer.holders);
    }
  }
  return { ok: true, holders: among ? once_each(holders) : holders };
}

const only = (pids: readonly number[]) => ["-a", "-p", [...new Set(pids)].join(",")];

/** All arguments and the environment together may have 2 MB (execve(2), with the usual limit of the stack). A quarter leaves room for the rest. */
const PORTION_BYTES = 512 * 1024;

/** Files in their order, so many at a time as one command line can name. At least one portion, if an empty one. */
function portions(files: readonly string[]): string[][] {
  const all: string[][] = [[]];
  let bytes = 0;
  for (const file of files) {
    // Each is followed by a zero, and pointed to.
    bytes += Buffer.byteLength(file) + 9;
    if (bytes > PORTION_BYTES) {
      all.push([]);
      bytes = Buffer.byteLength(file) + 9;
    }
    all.at(-1)?.push(file);
  }
  return all;
}

/**
 * Every file that was removed and is still open or mapped, whoever has it: lsof over all processes, at the lowest priority. The name of a removed
 * file is the one that it had last. `files` are the former names of those that matter; `canary` is a removed file that process `pid` holds open.
 */
export async function lsof_removed(
  files: readonly string[],
  canary: Canary,
  options: Omit<LsofOptions, "among"> & { signal?: AbortSignal } = {},
): Promise<LsofAnswer> {
  // `+L1`: descriptors of files without a name; `DEL`: mappings of such.
  const question = () => ["+L1", "-d", "DEL", ...exempt([canary.path, ...new Set(files.map(dirname))])];
  return answer_of(question, canary, { ...options, nice: LOWEST });
}

/** nice(1)'s; of use to nobody but who has time. */
const LOWEST = 19;

/** What lsof says of a mount in `-e` that was unmounted since the list of mounts was read; it then answers nothing else. */
const UNMOUNTED = /is not a mounted file system/;
/** How often it is asked at most with the mounts as they are by then: where file systems come and go all the time, nobody can tell. */
const TRIES = 4;

const exempt = (asked: readonly string[]) => elsewhere(list_mounts(), asked).flatMap((point) => ["-e", point]);

/** Each thread of a process names what it has in common with the others. */
function once_each(holders: readonly RawHolder[]): RawHolder[] {
  const key = (one: RawHolder) => [one.pid, one.fd, one.device, one.inode, one.path].join(" ");
  return [...new Map(holders.map((one) => [key(one), one])).values()];
}

/** `ask` makes the question, with the mounts of that moment. */
async function answer_of(
  ask: () => readonly string[],
  canary: Canary,
  options: Omit<LsofOptions, "among"> & { nice?: number; signal?: AbortSignal },
): Promise<LsofAnswer> {
  for (let tries = 1; ; tries++) {
    const answer = await ask_once(ask, canary, options);
    if (answer.ok || tries === TRIES || !UNMOUNTED.test(answer.reason)) return answer;
  }
}

async function ask_once(
  ask: () => readonly string[],
  canary: Canary,
  {
    deadline_ms = DEADLINE_MS,
    program = "lsof",
    nice,
    signal,
  }: Omit<LsofOptions, "among"> & { nice?: number; signal?: AbortSignal },
): Promise<LsofAnswer> {
  let question: readonly string[];
  try {
    question = ask();
  } catch (error) {
    if (is_used_up(error)) return { ok: false, reason: `the mounts could not be read: ${trouble(error)}` };
    throw error;
  }
  const result = await run_bounded(program, ["-O", "-w", "-n", "-P", "-F", "pcLfaDin", ...question], {
    deadline_ms,
    max_bytes: ANSWER_LIMIT_BYTES,
    nice,
    signal,
  });
  if (result.failure) return { ok: false, reason: result.failure };
  // With -w there are no warnings: whatever it says on stderr is that something went wrong.
  const complaint = result.stderr.split("\n")[0] ?? "";
  if (complaint !== "" || (result.exit_code !== 0 && result.exit_code !== 1))
    return { ok: false, reason: `lsof failed (exit ${result.exit_code}): ${complaint.slice(0, 200)}` };
  const all = parse_lsof(result.stdout);
  if (!all) return { ok: false, reason: "lsof's answer is not what lsof writes" };
  const is_canary = (one: RawHolder) => one.device === canary.id.device && one.inode === canary.id.inode;
  if (!all.some((one) => is_canary(one) && one.pid === canary.pid))
    return { ok: false, reason: `lsof did not see a file that is open (exit ${result.exit_code})` };
  return { ok: true, holders: all.filter((one) => !is_canary(one)) };
}

/** True when the holder holds that file. Where lsof did not name the device the inode alone decides: better a holder too many than one too few. */
export function holds(holder: RawHolder, id: FileId): boolean {
  return holder.inode === id.inode && (holder.device === null || holder.device === id.device);
}

const ACCESS = { r: "read", w: "write", u: "read_write" } as const;

/**
 * Parses `lsof -F pcLfaDin` (lsof(8), OUTPUT FOR OTHER PROGRAMS): a line a field, process fields before file fields. Null for what is not
 * of that form, or ends within a line: it may lack a holder.
 */
export function parse_lsof(text: string): RawHolder[] | null {
  if (text === "") return [];
  if (!text.endsWith("\n")) return null;
  const holders: RawHolder[] = [];
  let process = { pid: 0, command: "", user: "" };
  let file: Pick<RawHolder, "fd" | "access" | "device" | "inode"> | null = null;
  for (const line of text.slice(0, -1).split("\n")) {
    const value = line.slice(1);
    const field = line[0] ?? "";
    if (field === "p" || field === "f") {
      // The name ends a file's fields: a file without one was cut off.
      if (file) return null;
      if (field === "f") file = { fd: value, access: "unknown", device: null, inode: 0n };
      else process = { pid: Number(value), command: "", user: "" };
      if (!(process.pid > 0)) return null;
    } else if (field === "c") process.command = value;
    else if (field === "L") process.user = value;
    else if (!file) return null;
    else if (field === "a") file.access = ACCESS[value as keyof typeof ACCESS] ?? "unknown";
    else if (field === "D" && /^0x[0-9a-f]+$/i.test(value)) file.device = BigInt(value);
    else if (field === "i" && /^\d+$/.test(value)) file.inode = BigInt(value);
    else if (field === "n") {
      holders.push({ ...process, ...file, path: value });
      file = null;
    } else return null;
  }
  return file ? null : holders;
}

/** The version, or null when lsof is not there. Rejects as `ask_version` does, with `lsof_missing`. */
export async function lsof_version(options: VersionOptions = {}): Promise<string | null> {
  const answer = await ask_version(
    "lsof",
    "-v",
    { missing: "lsof_missing", so: ", so no end could be proven" },
    options,
  );
  return answer && (/revision: (\S+)/.exec(answer.stderr)?.[1] ?? "unknown");
}
