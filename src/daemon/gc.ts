/**
 * The sweeper: removals that were deferred are tried again, and the receipts amended. One sweep at a time: two would count the same
 * file twice.
 */
import type { AgentRecord, Ending } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import type { Receipt } from "../contract/receipt.ts";
import { crash_point } from "../faults/crash-point.ts";
import { remove_files } from "./ending/remove.ts";
import { verify_files } from "./ending/verify.ts";
import { remove_leftover_groups } from "./leftover-groups.ts";
import type { Services } from "./services.ts";

/** How often the sweeper looks by itself, in ms: a holder that lets go frees its disk space within a minute. */
const EVERY_MS = 60_000;

export interface GcResult {
  removed: string[];
  deferred: Pick<Receipt["cleanup"]["files_deferred"][number], "path" | "verdict" | "holders" | "reason">[];
}

/** One sweep, after those that were asked for before. With `dry_run` nothing is removed; `removed` then names what would be. */
export function collect_garbage(services: Services, dry_run: boolean): Promise<GcResult> {
  const sweep = services.sweep.then(() => sweep_all(services, dry_run));
  services.sweep = sweep.catch(() => undefined /* told to who asked for it */);
  return sweep;
}

async function sweep_all(services: Services, dry_run: boolean): Promise<GcResult> {
  const result: GcResult = { removed: [], deferred: [] };
  for (const agent of services.registry.agents()) {
    const { ending, receipt } = agent;
    if (agent.cleanup_state !== "deferred" || !ending || !receipt) continue;
    // No reader of ours may hold the files when lsof is asked.
    await services.readers.without(agent.id, () => sweep_agent(services, agent, ending, receipt, dry_run, result));
  }
  return result;
}

async function sweep_agent(
  services: Services,
  agent: AgentRecord,
  whole: Ending,
  receipt: Receipt,
  dry_run: boolean,
  result: GcResult,
): Promise<void> {
  const waiting = new Set(receipt.cleanup.files_deferred.map((file) => file.trash_path));
  const ending = {
    ...whole,
    set_aside: whole.set_aside.filter((file) => waiting.has(file.trash_path)),
    files_failed: [],
  };
  const verdicts = await verify_files(services.verifier, agent, ending);
  const free = verdicts.filter((one) => one.verdict === "clear").map((one) => one.path);
  if (dry_run || free.length === 0) {
    if (dry_run) result.removed.push(...free);
    for (const one of verdicts)
      if (one.verdict !== "clear")
        result.deferred.push({ path: one.path, verdict: one.verdict, holders: one.holders, reason: one.reason });
    return;
  }
  const files = await remove_files(services.registry.task_of(agent).dir, ending, verdicts);
  crash_point("sweep.removed");
  result.deferred.push(...files.files_deferred);
  const kept = new Set(files.files_deferred.map((file) => file.trash_path));
  const removed = free.filter((path) => !kept.has(path));
  result.removed.push(...removed);
  // Nothing has changed: the receipt stays, and the registry need not be written (its disk may be the full one).
  if (removed.length === 0 && files.files_failed.length === 0) return;
  const { cleanup } = receipt;
  const amended: Receipt = {
    ...receipt,
    amended_at: new Date().toISOString(),
    success: receipt.success && files.files_failed.length === 0,
    cleanup: {
      ...cleanup,
      files_deleted: [...cleanup.files_deleted, ...files.files_deleted],
      files_archived: [...cleanup.files_archived, ...files.files_archived],
      files_failed: [...cleanup.files_failed, ...files.files_failed],
      files_deferred: files.files_deferred,
      bytes_freed: cleanup.bytes_freed + files.bytes_freed,
      handles: files.handles,
    },
  };
  const done = files.files_deferred.length === 0;
  await services.registry.update(agent, {
    receipt: amended,
    cleanup_state: done ? "done" : "deferred",
    ending: done ? null : whole,
  });
  crash_point("sweep.receipt_amended");
  services.events.emit({
    type: "files_removed",
    agent_id: agent.id,
    message: `${removed.length} deferred files were released and removed`,
  });
}

/** Sweeps now and then. Returns how to stop it. */
export function start_sweeper(services: Services, every_ms = EVERY_MS): () => void {
  const failed = (error: unknown) => services.log.error({ error: message_of(error) }, "a sweep failed");
  const timer = setInterval(() => {
    collect_garbage(services, false).catch(failed);
    try {
      // Those of survivors that have gone since.
      remove_leftover_groups(services);
    } catch (error) {
      failed(error);
    }
  }, every_ms);
  return () => clearInterval(timer);
}
