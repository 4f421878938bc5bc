/** Removals that were deferred are tried again, and the receipts amended. */
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import type { Receipt } from "../../contract/receipt.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { keep_receipt } from "../ending/archived-receipt.ts";
import { remove_files } from "../ending/remove.ts";
import { verify_files } from "../ending/verify.ts";
import type { Sweep } from "./sweep.ts";

export async function deferred_removals(sweep: Sweep): Promise<void> {
  const { services } = sweep;
  for (const agent of services.registry.agents()) {
    const { ending, receipt } = agent;
    if (agent.cleanup_state !== "deferred" || !ending || !receipt) continue;
    // No reader of ours may hold the files when lsof is asked.
    await services.readers.without(agent.id, () => sweep_agent(sweep, agent, ending, receipt));
  }
}

async function sweep_agent(sweep: Sweep, agent: AgentRecord, whole: Ending, receipt: Receipt): Promise<void> {
  const { services, dry_run } = sweep;
  const waiting = new Set(receipt.cleanup.files_deferred.map((file) => file.trash_path));
  const ending = {
    ...whole,
    set_aside: whole.set_aside.filter((file) => waiting.has(file.trash_path)),
    files_failed: [],
  };
  const verdicts = await verify_files(services.verifier, agent, ending);
  const free = verdicts.filter((one) => one.verdict === "clear").map((one) => one.path);
  if (dry_run || free.length === 0) {
    if (dry_run) for (const path of free) tell(sweep, agent, path, "dry_run");
    for (const one of verdicts) if (one.verdict !== "clear") tell_waiting(sweep, agent, one);
    return;
  }
  const files = await remove_files(services.registry.task_of(agent).dir, ending, verdicts);
  services.audit.note(verdicts, agent.id);
  crash_point("sweep.removed");
  for (const one of files.files_deferred) tell_waiting(sweep, agent, one);
  const kept = new Set(files.files_deferred.map((file) => file.trash_path));
  const removed = free.filter((path) => !kept.has(path));
  for (const path of removed) tell(sweep, agent, path, "done");
  // Nothing has changed: the receipt stays, and the registry need not be written (its disk may be the full one).
  if (removed.length === 0 && files.files_failed.length === 0) return;
  // Not the one from before: it may have been amended meanwhile, by the end of a session that tmux had not answered about.
  const latest = agent.receipt ?? receipt;
  const { cleanup } = latest;
  const amended: Receipt = {
    ...latest,
    amended_at: new Date(services.clock.wall_ms()).toISOString(),
    success: latest.success && files.files_failed.length === 0,
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
  await keep_receipt(services, agent);
  services.metrics.released(removed.length, files.bytes_freed);
  services.events.emit({
    type: "files_removed",
    agent_id: agent.id,
    message: `${removed.length} deferred files were released and removed`,
  });
}

const WHAT = { what: "deferred_removal" } as const;

function tell(sweep: Sweep, agent: AgentRecord, path: string, result: "done" | "dry_run"): void {
  sweep.removed.push(path);
  sweep.items.push({
    ...WHAT,
    path,
    why: `a file of ${agent.id}, which ended; nobody holds it any more`,
    action: "remove",
    result,
    error: null,
  });
}

function tell_waiting(sweep: Sweep, agent: AgentRecord, file: Sweep["deferred"][number]): void {
  const { path, verdict, holders, reason } = file;
  sweep.deferred.push({ path, verdict, holders, reason });
  const by = holders.map((one) => `${one.command} (pid ${one.pid})`).join(", ");
  sweep.wait({
    ...WHAT,
    path,
    why: `a file of ${agent.id}, which ended: ${reason ?? (by ? `held by ${by}` : verdict)}`,
  });
}
