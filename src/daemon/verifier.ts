/**
 * The verdict on files: does anybody hold them open? A look through /proc names who may, and lsof, asked about those and about the agent's own
 * family, signs. Asks that come while one runs share the next, so that twenty ends at once cost two. A canary file that the daemon holds open
 * proves each look and each answer. Where /proc cannot tell, or once it was found wrong, lsof over everything decides.
 */
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { is_errno, is_used_up, trouble } from "../contract/errors.ts";
import type { Holder, Verdict } from "../contract/receipt.ts";
import { type Canary, type FileId, holds, type LsofAnswer, lsof, type RawHolder } from "../drivers/lsof.ts";
import {
  has_name_of,
  type LookForHolders,
  look_again,
  look_for_holders,
  low_half,
  type Match,
} from "../drivers/proc-holders.ts";
import { Together } from "./together.ts";

export interface FileVerdict {
  path: string;
  verdict: Verdict;
  holders: Holder[];
  /** Why the verdict is unknown, else null. */
  reason: string | null;
  /** Null for a file that was not there. */
  id: FileId | null;
}

/** Says whose process a holder is. */
export type Whose = (pid: number) => Holder["whose"];

/** Told how long each lsof and each look took, and of each verdict on a file that is there. */
export interface VerifierWatch {
  lsof_ran: (ms: number, ok: boolean, scope: "candidates" | "everything") => void;
  looked: (ms: number, ok: boolean) => void;
  judged: (verdict: Verdict) => void;
}

/** What lsof says of some files, and of which it says less than /proc does: then nobody can tell. By the file's name. */
export type Answer = LsofAnswer & { doubts?: ReadonlyMap<string, string> };

/** A file that is there. A look through /proc is for regular files: others may be held as a directory that somebody is in. */
interface Found {
  id: FileId;
  regular: boolean;
}

const NOTHING_ASKED: Answer = { ok: true, holders: [] };

/** How often it is begun anew because holders went away while they were asked about. One that happens to is enough for a second look. */
const ROUNDS = 3;

interface Ask {
  files: ReadonlyMap<string, Found>;
  family: readonly number[];
}

export class Verifier {
  watch: VerifierWatch = { lsof_ran: () => {}, looked: () => {}, judged: () => {} };
  private canary: (Canary & { handle: FileHandle }) | null = null;
  private readonly asks = new Together((batch: readonly Ask[]) => this.find_holders(batch).catch(without_means));
  private whose: Whose = () => "other";

  /** Without `look` lsof over everything decides. */
  constructor(private look: LookForHolders | null = look_for_holders) {}

  async open(canary_path: string, whose: Whose): Promise<void> {
    // What is there was left by a daemon that was killed, or planted: it is never opened.
    await rm(canary_path, { force: true });
    const handle = await open(canary_path, "wx", 0o600);
    const { dev, ino } = await handle.stat({ bigint: true });
    this.canary = { path: canary_path, id: { device: dev, inode: ino }, pid: process.pid, handle };
    this.whose = whose;
  }

  async close(): Promise<void> {
    if (!this.canary) return;
    await this.canary.handle.close();
    await rm(this.canary.path, { force: true });
    this.canary = null;
  }

  /** A look named too few: from now on lsof over everything decides. */
  distrust(): void {
    this.look = null;
  }

  /**
   * The verdict on each file. A file that is not there cannot be asked for: it is clear only in that nothing is left to hold by name. lsof is asked
   * about the `family` (pids) in any case.
   */
  async verify(paths: readonly string[], family: readonly number[] = []): Promise<FileVerdict[]> {
    const found = await Promise.all(paths.map(find));
    const present = new Map(paths.flatMap((path, index) => (found[index] ? [[path, found[index]]] : [])));
    const answer = present.size > 0 ? await this.asks.ask([{ files: present, family }]) : NOTHING_ASKED;
    return paths.map((path, index) => {
      const id = found[index]?.id ?? null;
      const verdict = judge(path, id, answer, this.whose);
      if (id) this.watch.judged(verdict.verdict);
      return verdict;
    });
  }

  /** Begins after everybody of the batch has asked: whoever they ended is gone by then. */
  private async find_holders(batch: readonly Ask[]): Promise<Answer> {
    const { canary } = this;
    if (!canary) return { ok: false, reason: "the supervisor is stopping" };
    const files = new Map(batch.flatMap((one) => [...one.files]));
    const family = batch.flatMap((one) => one.family);
    const paths = [...files.keys()];
    for (let round = 0; round < ROUNDS; round++) {
      const named = await this.name_candidates([...files.values()], canary);
      if (!named) return this.timed("everything", () => lsof(paths, canary));
      const { matches, unreadable } = named;
      const pids = [...family, ...unreadable, ...matches.map((one) => one.pid)];
      const threads_of = matches.filter((one) => one.in_thread).map((one) => one.pid);
      const answer = await this.timed("candidates", () => lsof(paths, canary, { among: { pids, threads_of } }));
      if (!answer.ok) return answer;
      const unsigned = unsigned_of(files, matches, answer.holders);
      const doubts = doubts_of(unsigned);
      if (doubts.size > 0 || unsigned.length === 0) return { ...answer, doubts };
      // Somebody let go, or ended, between the look and lsof, and may have handed it on to a child that neither has seen.
    }
    return { ok: false, reason: `it is opened and closed again and again, by others each time (${ROUNDS} looks)` };
  }

  /** Null when a look cannot tell. */
  private async name_candidates(
    files: readonly Found[],
    canary: Canary,
  ): Promise<{ matches: Match[]; unreadable: number[] } | null> {
    if (!this.look || files.some((one) => !one.regular)) return null;
    const began = performance.now();
    const look = await this.look([canary.id, ...files.map((one) => one.id)]);
    const sees_us = (one: Match) => one.pid === canary.pid && one.inode === low_half(canary.id.inode);
    const ok = look.ok && look.matches.some(sees_us);
    this.watch.looked(performance.now() - began, ok);
    return ok ? look : null;
  }

  private async timed(scope: "candidates" | "everything", run: () => Promise<LsofAnswer>): Promise<LsofAnswer> {
    const began = performance.now();
    const answer = await run();
    this.watch.lsof_ran(performance.now() - began, answer.ok, scope);
    return answer;
  }
}

/** Nobody could be looked at: that is no verdict. */
function without_means(error: unknown): Answer {
  if (is_used_up(error)) return { ok: false, reason: trouble(error) };
  throw error;
}

interface Unsigned {
  path: string;
  match: Match;
}

/** What /proc showed by the file's own name at somebody whom lsof does not name. Others with the same number are other files. */
function unsigned_of(
  files: ReadonlyMap<string, Found>,
  matches: readonly Match[],
  holders: readonly RawHolder[],
): Unsigned[] {
  return [...files].flatMap(([path, { id }]) =>
    matches
      .filter((match) => match.inode === low_half(id.inode) && has_name_of(match, path))
      .filter((match) => !holders.some((one) => one.pid === match.pid && holds(one, id)))
      .map((match) => ({ path, match })),
  );
}

/** Of those, what is still to be seen when it is looked again: reasons by path. */
function doubts_of(unsigned: readonly Unsigned[]): Map<string, string> {
  const still = new Set(look_again(unsigned.map((one) => one.match)));
  return new Map(
    unsigned
      .filter((one) => still.has(one.match))
      .map(({ path, match }) => [
        path,
        `/proc shows it open or mapped in process ${match.pid}, which lsof does not name`,
      ]),
  );
}

/** Pure: one file, one answer. */
export function judge(path: string, id: FileId | null, answer: Answer, whose: Whose): FileVerdict {
  const clear: FileVerdict = { path, verdict: "clear", holders: [], reason: null, id };
  if (id === null) return clear;
  if (!answer.ok) return { ...clear, verdict: "unknown", reason: answer.reason };
  let holders: Holder[];
  try {
    holders = answer.holders.filter((one) => holds(one, id)).map((one) => with_owner(one, whose));
  } catch (error) {
    if (!is_used_up(error)) throw error;
    return { ...clear, verdict: "unknown", reason: `its holders could not be looked at: ${trouble(error)}` };
  }
  if (holders.length > 0) return { ...clear, verdict: "held", holders };
  const doubt = answer.doubts?.get(path);
  return doubt === undefined ? clear : { ...clear, verdict: "unknown", reason: doubt };
}

function with_owner({ device: _device, inode: _inode, ...holder }: RawHolder, whose: Whose): Holder {
  return { ...holder, whose: whose(holder.pid) };
}

async function find(path: string): Promise<Found | null> {
  try {
    const facts = await stat(path, { bigint: true });
    return { id: { device: facts.dev, inode: facts.ino }, regular: facts.isFile() };
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}
