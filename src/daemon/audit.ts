/**
 * Verdicts are looked over afterwards: lsof over everything is asked for removed files that somebody still has. A file that was free when it was
 * removed must not be among them; one that is was missed by whoever gave the verdict. Part of every sweep, so once a minute at most by itself, at
 * the lowest priority, and only when there were verdicts since the last time. One that lsof does not answer is made up for by the next.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { basename } from "node:path";
import { trouble } from "../contract/errors.ts";
import { type Canary, type FileId, type LsofAnswer, lsof_removed, type RawHolder } from "../drivers/lsof.ts";
import type { FileVerdict } from "./verdict.ts";

/** A file that was found to be free and then removed; `path` is what it was then. */
export interface Cleared {
  path: string;
  id: FileId;
  agent_id: string | null;
}
/** A file that was removed as free, and who has it all the same. */
export interface Dispute {
  path: string;
  agent_id: string | null;
  pid: number;
  command: string;
}
export interface AuditResult {
  /** How many verdicts were looked over. */
  verdicts: number;
  disputes: Dispute[];
  /** Why lsof could not be asked, else null. */
  failure: string | null;
}

/** How many verdicts may wait; the oldest are let go. About 5 MB, and more than a minute's ends. */
const LIMIT = 20_000;
export class Audit {
  private readonly pending = new Map<string, Cleared>();
  private canary: (Canary & { handle: FileHandle }) | null = null;
  private running: Promise<AuditResult> | null = null;

  /** `told` hears of each audit that there was something to do for. With `halted` one that is under way is given up. */
  constructor(
    private readonly told: (result: AuditResult) => void,
    private readonly halted?: AbortSignal,
  ) {}

  /** Holds a removed file open, which each answer must have. */
  async open(canary_path: string): Promise<void> {
    await rm(canary_path, { force: true });
    const handle = await open(canary_path, "wx", 0o600);
    await rm(canary_path);
    const { dev, ino } = await handle.stat({ bigint: true });
    this.canary = { path: canary_path, id: { device: dev, inode: ino }, pid: process.pid, handle };
  }

  async close(): Promise<void> {
    await this.running;
    await this.canary?.handle.close();
    this.canary = null;
  }

  /** Remembers the verdicts on files that are removed by now, or will be before the next audit. */
  note(verdicts: readonly FileVerdict[], agent_id: string | null): void {
    for (const { path, id, verdict } of verdicts) {
      if (verdict !== "clear" || !id) continue;
      // Again at the end: the order of a map is that of its first entries.
      this.pending.delete(path);
      this.pending.set(path, { path, id, agent_id });
    }
    for (const path of this.pending.keys()) {
      if (this.pending.size <= LIMIT) break;
      this.pending.delete(path);
    }
  }

  /** Looks over all verdicts that were noted. Calls that come meanwhile share it. */
  run(): Promise<AuditResult> {
    this.running ??= this.look_over().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  private async look_over(): Promise<AuditResult> {
    const { canary } = this;
    const due = [...this.pending.values()];
    if (!canary || due.length === 0) return { verdicts: 0, disputes: [], failure: null };
    const { disputes, failure } = await this.ask_twice(due, canary).catch((error) => ({
      disputes: [],
      failure: trouble(error),
    }));
    if (failure === null) for (const one of due) if (this.pending.get(one.path) === one) this.pending.delete(one.path);
    const result = { verdicts: due.length, disputes, failure };
    this.told(result);
    return result;
  }

  /** Who reads a file in order to archive it closes it right after its removal: only what is there twice was missed. */
  private async ask_twice(due: readonly Cleared[], canary: Canary): Promise<Pick<AuditResult, "disputes" | "failure">> {
    const ask = () =>
      lsof_removed(
        due.map((one) => one.path),
        canary,
        this.halted && { signal: this.halted },
      );
    const first = await ask();
    if (!first.ok) return { disputes: [], failure: first.reason };
    const disputes = disputes_of(due, first);
    if (disputes.length === 0) return { disputes, failure: null };
    const second = await ask();
    if (!second.ok) return { disputes: [], failure: second.reason };
    const still = disputes_of(due, second);
    return {
      disputes: disputes.filter((one) => still.some((other) => other.pid === one.pid && other.path === one.path)),
      failure: null,
    };
  }
}

/**
 * Pure. An inode number is soon given to another file: only who has it under the file's own name has this file. Of a mapping's device that says
 * nothing: where stat(2) has numbers of its own (btrfs, some overlays) a mapping shows another.
 */
export function disputes_of(due: readonly Cleared[], answer: LsofAnswer): Dispute[] {
  if (!answer.ok) return [];
  const by_inode = new Map<bigint, RawHolder[]>();
  for (const one of answer.holders) by_inode.set(one.inode, [...(by_inode.get(one.inode) ?? []), one]);
  return due.flatMap(({ path, id, agent_id }) =>
    (by_inode.get(id.inode) ?? [])
      .filter(
        (one) =>
          (one.device === null || one.device === id.device || MAPPED.has(one.fd)) && name_of(one) === basename(path),
      )
      .map(({ pid, command }) => ({ path, agent_id, pid, command })),
  );
}

const MAPPED = new Set(["mem", "DEL"]);

const name_of = (holder: RawHolder) => basename(holder.path.replace(/ \(deleted\)$/, ""));
