/**
 * The verdict on files: does anybody hold them open? The kernel says by leases whether anybody has them, a look through /proc names who may, and lsof, asked about those
 * and about the agent's own family, signs. Asks that come while one runs share the next, so that twenty ends at once cost two. A canary file that the daemon holds open
 * proves each look and each answer. Where /proc cannot tell, or once it was found wrong, lsof over everything decides.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import type { Verdict } from "../contract/receipt.ts";
import type { LeaseAnswer } from "../drivers/lease.ts";
import type { Looker } from "../drivers/look-thread.ts";
import { type Canary, holds, type LsofAnswer, lsof } from "../drivers/lsof.ts";
import { type Look, low_half, type Match } from "../drivers/proc-holders.ts";
import { Together } from "./together.ts";
import { type Found, find, unsigned_of } from "./unsigned.ts";
import { type Answer, type FileVerdict, judge, type Whose, without_answer } from "./verdict.ts";

/** Told how long each lsof and each look took, and of each verdict on a file that is there. */
export interface VerifierWatch {
  lsof_ran: (ms: number, ok: boolean, scope: "candidates" | "everything") => void;
  looked: (ms: number, ok: boolean) => void;
  /** A lease was asked for. */
  leased: (answer: LeaseAnswer["answer"]) => void;
  judged: (verdict: Verdict) => void;
}

const NOTHING_ASKED: Answer = { ok: true, holders: [] };

/**
 * How often it is looked at most, when holders go away while they are asked about, or processes begin and end too fast to be looked at. A busy moment
 * (ten agents that begin and end at once on two busy processors) passes within a few looks of some hundredths of a second; an `unknown` costs a minute.
 */
const ROUNDS = 8;

/** More pids than lsof is asked about by number: their list would not fit into one argument (execve(2): 128 KB), and everybody is found as soon. */
const TOO_MANY = 5_000;

interface Ask {
  files: ReadonlyMap<string, Wanted>;
  family: readonly number[];
}
type Wanted = Found & { lease: boolean };
type Files = ReadonlyMap<string, Wanted>;

/** Said of a file that somebody has, whom nobody can name. */
const UNSEEN =
  "the kernel refuses a lease on it: somebody has it open or mapped whom neither /proc nor lsof shows (another user, another container, a descriptor on its way through a socket)";

export class Verifier {
  watch: VerifierWatch = { lsof_ran: () => {}, looked: () => {}, leased: () => {}, judged: () => {} };
  private canary: (Canary & { handle: FileHandle }) | null = null;
  private readonly asks = new Together((batch: readonly Ask[]) => this.find_holders(batch).catch(without_answer));
  private whose: Whose = () => "other";
  /**
   * Whom lsof need not wait for: when the last look named nobody to ask about but these, lsof is asked about them and the family while the next look is under way. Null when it
   * named others.
   */
  private expected: readonly number[] | null = null;
  private distrusted = false;

  /** Without `looker` lsof over everything decides. `hosts`: processes that are known to run our own program for hosts now. */
  constructor(
    private readonly looker: Looker | null,
    private readonly hosts: () => readonly number[] = () => [],
  ) {}

  async open(canary_path: string, whose: Whose): Promise<void> {
    // What is there was left by a daemon that was killed, or planted: it is never opened.
    await rm(canary_path, { force: true });
    const handle = await open(canary_path, "wx", 0o600);
    const { dev, ino } = await handle.stat({ bigint: true });
    this.canary = { path: canary_path, id: { device: dev, inode: ino }, pid: process.pid, handle };
    this.whose = whose;
  }

  async close(): Promise<void> {
    await this.looker?.close();
    if (!this.canary) return;
    await this.canary.handle.close();
    await rm(this.canary.path, { force: true });
    this.canary = null;
  }

  /** A look named too few: from now on lsof over everything decides. */
  distrust(): void {
    this.distrusted = true;
  }

  /**
   * The verdict on each file. A file that is not there cannot be asked for: it is clear only in that nothing is left to hold by name. lsof is asked
   * about the `family` (pids) in any case. `lease` is false for files in use: who opens one in the microseconds of a lease waits, or is told EAGAIN if it would not wait.
   */
  async verify(
    paths: readonly string[],
    family: readonly number[] = [],
    { lease = () => true }: { lease?: (path: string) => boolean } = {},
  ): Promise<FileVerdict[]> {
    const found = await Promise.all(paths.map(find));
    const present = new Map(
      paths.flatMap((path, index) => (found[index] ? [[path, { ...found[index], lease: lease(path) }]] : [])),
    );
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
    for (let round = 1; ; round++) {
      const answer = await this.look_and_ask(files, family, canary, round === ROUNDS);
      // lsof answers for none when one of them is not there any more.
      const gone = answer?.ok === false ? await not_there(files) : [];
      for (const path of gone) files.delete(path);
      if (gone.length > 0) round--;
      else if (answer) return answer;
      if (files.size === 0) return NOTHING_ASKED;
    }
  }

  /** Null when it must be begun anew: somebody let go, or ended, between the look and lsof, and may have handed it on to one whom neither has seen. */
  private async look_and_ask(
    files: Files,
    family: readonly number[],
    canary: Canary,
    last: boolean,
  ): Promise<Answer | null> {
    const paths = [...files.keys()];
    const { expected } = this;
    // First, because the start of lsof holds this thread for some ms, in which the other one looks.
    const looking = this.name_candidates(files, canary);
    const early = expected && this.can_look(files) ? this.sign(paths, canary, [...family, ...expected], []) : null;
    early?.catch(() => undefined /* told to who waits for it, if it is not asked again */);
    const look = await looking;
    this.expected = expected_after(look, files, canary);
    if (!look.ok && look.restless) return last ? look : null;
    if (!look.ok) return this.timed("everything", () => lsof(paths, canary));
    // Nobody is named whom lsof is not asked about already. Who was seen by lsof, and not by the kernel afterwards, may have let go since: lsof is asked again.
    if (early && this.expected?.every((pid) => expected?.includes(pid))) {
      const answer = await early;
      if (!answer.ok || !answer.holders.some((one) => [...files.values()].some(({ id }) => holds(one, id))))
        return answer;
    }
    const { matches, ask_about } = look;
    const pids = new Set([...family, ...ask_about, ...matches.map((one) => one.pid)]);
    if (pids.size > TOO_MANY) return this.timed("everything", () => lsof(paths, canary));
    const threads_of = matches.filter((one) => one.in_thread).map((one) => one.pid);
    const answer = await this.sign(paths, canary, [...pids], threads_of);
    if (!answer.ok) return answer;
    const again: Looker["again"] = async (some) => (await this.looker?.again(some)) ?? null;
    const { doubts, restless } = await unsigned_of(files, matches, answer.holders, again);
    const unseen = [...files].filter(
      ([path, { id }]) => is_refused(look, path) && !doubts.has(path) && !answer.holders.some((one) => holds(one, id)),
    );
    if (restless.size + unseen.length > 0 && !last) return null;
    for (const path of restless)
      doubts.set(path, `it is opened and closed again and again, by others each time (${ROUNDS} looks)`);
    for (const [path] of unseen) doubts.set(path, doubts.get(path) ?? UNSEEN);
    return { ...answer, doubts };
  }

  private sign(
    paths: string[],
    canary: Canary,
    pids: readonly number[],
    threads_of: readonly number[],
  ): Promise<LsofAnswer> {
    return this.timed("candidates", () => lsof(paths, canary, { among: { pids, threads_of } }));
  }

  private can_look(files: Files): boolean {
    return this.looker !== null && !this.distrusted && [...files.values()].every((one) => one.regular);
  }

  private async name_candidates(files: Files, canary: Canary): Promise<Look> {
    if (!this.looker || !this.can_look(files)) return { ok: false, reason: "there is no look" };
    const began = performance.now();
    const sought = [...files].map(([path, { id, lease }]) => ({ ...id, ...(lease ? { lease_by: path } : {}) }));
    const look = await this.looker.look([{ ...canary.id, open_only: true }, ...sought], this.hosts());
    const ok = look.ok && look.matches.some((one) => is_canary(one, canary));
    this.watch.looked(performance.now() - began, ok);
    if (look.ok) for (const { answer } of look.leases?.values() ?? []) this.watch.leased(answer);
    return look.ok && !ok ? { ok: false, reason: "it does not see what is open" } : look;
  }

  private async timed(scope: "candidates" | "everything", run: () => Promise<LsofAnswer>): Promise<LsofAnswer> {
    const began = performance.now();
    const answer = await run();
    this.watch.lsof_ran(performance.now() - began, answer.ok, scope);
    return answer;
  }
}

const is_canary = (one: Match, canary: Canary) =>
  one.pid === canary.pid && low_half(one.inode) === low_half(canary.id.inode);

const is_refused = (look: Look, path: string) => look.ok && look.leases?.get(path)?.answer === "refused";

/** Whom the next look will probably name to be asked about, when nobody has any of the files; null where that is not so, or is not known. */
function expected_after(look: Look, files: Files, canary: Canary): number[] | null {
  if (!look.ok || look.ask_about.length > TOO_MANY / 2 || !look.matches.every((one) => is_canary(one, canary)))
    return null;
  return [...files.keys()].every((path) => look.leases?.get(path)?.answer === "granted") ? look.ask_about : null;
}

/** Of these files, those that went away since they were found. */
async function not_there(files: Files): Promise<string[]> {
  const paths = [...files.keys()];
  const found = await Promise.all(paths.map(find));
  return paths.filter((_, index) => !found[index]);
}
