/**
 * The verdict on files: does anybody hold them open? Asks that come while an lsof runs share the next one, so that twenty ends at
 * once cost two sweeps. A canary file that the daemon holds open proves each answer.
 */
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { is_errno } from "../contract/errors.ts";
import type { Holder, Verdict } from "../contract/receipt.ts";
import { type FileId, holds, type LsofAnswer, lsof, type RawHolder } from "../drivers/lsof.ts";

export interface FileVerdict {
  path: string;
  verdict: Verdict;
  holders: Holder[];
  /** Why the verdict is unknown, else null. */
  reason: string | null;
}

/** Says whose process a holder is. */
export type Whose = (pid: number) => Holder["whose"];

/** Told how long each lsof took, and of each verdict on a file that is there. */
export interface VerifierWatch {
  lsof_ran: (ms: number, ok: boolean) => void;
  judged: (verdict: Verdict) => void;
}

export class Verifier {
  watch: VerifierWatch = { lsof_ran: () => {}, judged: () => {} };
  private canary: { path: string; id: FileId; handle: FileHandle } | null = null;
  private running: Promise<LsofAnswer> | null = null;
  private waiting: { files: Set<string>; answer: Promise<LsofAnswer> } | null = null;
  private whose: Whose = () => "other";

  async open(canary_path: string, whose: Whose): Promise<void> {
    // What is there was left by a daemon that was killed, or planted: it is never opened.
    await rm(canary_path, { force: true });
    const handle = await open(canary_path, "wx", 0o600);
    const { dev, ino } = await handle.stat({ bigint: true });
    this.canary = { path: canary_path, id: { device: dev, inode: ino }, handle };
    this.whose = whose;
  }

  async close(): Promise<void> {
    if (!this.canary) return;
    await this.canary.handle.close();
    await rm(this.canary.path, { force: true });
    this.canary = null;
  }

  /** The verdict on each file. A file that is not there cannot be asked for: it is clear only in that nothing is left to hold by name. */
  async verify(paths: readonly string[]): Promise<FileVerdict[]> {
    const found = await Promise.all(paths.map(id_of));
    const present = paths.filter((_, index) => found[index] !== null);
    if (present.length === 0) return paths.map((path) => ({ path, verdict: "clear", holders: [], reason: null }));
    const answer = await this.ask(present);
    return paths.map((path, index) => {
      const verdict = judge(path, found[index] ?? null, answer, this.whose);
      if (found[index]) this.watch.judged(verdict.verdict);
      return verdict;
    });
  }

  private ask(files: readonly string[]): Promise<LsofAnswer> {
    if (!this.waiting) {
      const batch = new Set<string>();
      const sweep = async () => {
        await this.running;
        this.waiting = null;
        const { canary } = this;
        if (!canary) return { ok: false as const, reason: "the supervisor is stopping" };
        const began = performance.now();
        this.running = lsof([...batch], { path: canary.path, id: canary.id, pid: process.pid }).then((answer) => {
          this.watch.lsof_ran(performance.now() - began, answer.ok);
          return answer;
        });
        return this.running;
      };
      this.waiting = { files: batch, answer: sweep() };
    }
    const { waiting } = this;
    for (const file of files) waiting.files.add(file);
    return waiting.answer;
  }
}

/** Pure: one file, one answer. */
export function judge(path: string, id: FileId | null, answer: LsofAnswer, whose: Whose): FileVerdict {
  if (id === null) return { path, verdict: "clear", holders: [], reason: null };
  if (!answer.ok) return { path, verdict: "unknown", holders: [], reason: answer.reason };
  const holders = answer.holders.filter((one) => holds(one, id)).map((one) => with_owner(one, whose));
  return { path, verdict: holders.length > 0 ? "held" : "clear", holders, reason: null };
}

function with_owner({ device: _device, inode: _inode, ...holder }: RawHolder, whose: Whose): Holder {
  return { ...holder, whose: whose(holder.pid) };
}

async function id_of(path: string): Promise<FileId | null> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return { device: dev, inode: ino };
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}
