/** One sweep: what was found, why it is garbage, and what became of it. With `dry_run` nothing is done, and all is told. */
import type { AgentRecord } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import type { GarbageItem } from "../../contract/operations/supervisor.ts";
import type { Receipt } from "../../contract/receipt.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";
import type { FileVerdict } from "../verdict.ts";
import { SAFE_AGE_MS } from "./sightings.ts";

export type Garbage = Pick<GarbageItem, "what" | "path" | "why">;
type Deferred = Pick<Receipt["cleanup"]["files_deferred"][number], "path" | "verdict" | "holders" | "reason">;

/** How many files lsof is asked for at once: their names are its arguments (execve(2): 2 MB in all). */
const BATCH = 500;

export class Sweep {
  readonly items: GarbageItem[] = [];
  /** Of deferred removals alone, as before there was anything else. */
  readonly removed: string[] = [];
  readonly deferred: Deferred[] = [];
  /** What was removed, but deferred files, which the receipts of their agents count. */
  readonly freed = { files: 0, bytes: 0 };
  /** Agents that still have archived files, by `<task id>/<agent id>`. */
  readonly archived = new Set<string>();
  /** With `dry_run`: the agents whose records this sweep would have moved into their task's journal, where what follows would find them. */
  readonly would_leave: { task: Task; agent: AgentRecord }[] = [];

  constructor(
    readonly services: Services,
    readonly dry_run: boolean,
  ) {}

  /** Does `work`, or only says that it would be done. True when it was done. A failure is told, and stops nothing else. `files`, `bytes`: what it frees. */
  async dispose(
    found: Garbage,
    work: () => Promise<void>,
    { action = "remove", files = 0, bytes = 0 }: { action?: "remove" | "move"; files?: number; bytes?: number } = {},
  ): Promise<boolean> {
    if (this.dry_run) {
      this.items.push({ ...found, action, result: "dry_run", error: null });
      return false;
    }
    try {
      await work();
      this.items.push({ ...found, action, result: "done", error: null });
      if (files > 0) this.services.metrics.swept(found.what, files, bytes);
      this.freed.files += files;
      this.freed.bytes += bytes;
      this.services.log.info({ ...found }, "the sweeper tidied up");
      return true;
    } catch (error) {
      this.items.push({ ...found, action, result: "failed", error: message_of(error) });
      this.services.log.warn({ ...found, error: message_of(error) }, "the sweeper could not tidy up; it tries again");
      return false;
    }
  }

  /** It is garbage, but not yet to be removed. */
  wait(found: Garbage): void {
    this.items.push({ ...found, action: "wait", result: "left", error: null });
  }

  /** It may be anybody's. */
  leave(found: Garbage): void {
    this.items.push({ ...found, action: "leave", result: "left", error: null });
  }

  /** True when every sweep of a safe time has seen it. */
  is_known_long({ what, path }: Garbage): boolean {
    return this.services.sightings.seen_for(`${what} ${path}`) >= SAFE_AGE_MS;
  }

  /** True when it is old enough, by its time (wall clock, ms) and by how long the sweeper has known of it; else it is told to wait. */
  is_settled(found: Garbage, at_ms: number): boolean {
    const known = this.is_known_long(found);
    const settled = known && this.services.ages.age_of(at_ms) >= SAFE_AGE_MS;
    if (!settled)
      this.wait({
        ...found,
        why: `${found.why}; the sweeper must know of it for ${SAFE_AGE_MS / 60_000} minutes first`,
      });
    return settled;
  }

  /** Why each file must not be removed now, or null: somebody holds it, or nobody can tell. */
  async held(paths: readonly string[]): Promise<Map<string, string | null>> {
    const reasons = new Map<string, string | null>();
    for (let from = 0; from < paths.length; from += BATCH) {
      const verdicts = await this.services.verifier.verify(paths.slice(from, from + BATCH));
      if (!this.dry_run) this.services.audit.note(verdicts, null);
      for (const one of verdicts) reasons.set(one.path, reason_of(one));
    }
    return reasons;
  }
}

function reason_of({ verdict, holders, reason }: FileVerdict): string | null {
  if (verdict === "clear") return null;
  return reason ?? `held by ${holders.map((one) => `${one.command} (pid ${one.pid})`).join(", ")}`;
}
