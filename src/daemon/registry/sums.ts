/**
 * What ended agents add up to. A receipt that expires is forgotten, and what it counted is not: the sums of the forgotten stand in one line of
 * their task's journal, and those of expired tasks in the workspace's (`Ledger`). Pure.
 */
import { z } from "zod";
import type { AgentRecord } from "../../contract/agent.ts";
import { type ReceiptSums, receipt_sums } from "../../contract/metrics.ts";
import type { Receipt } from "../../contract/receipt.ts";

export const sums = z.object({
  /** How many agents ended so. */
  by_status: z.record(z.string(), z.int().nonnegative()),
  receipts: receipt_sums,
});
export type Sums = z.infer<typeof sums>;

/** As much of an ended agent as counts. `result` is null where there is no receipt. */
export interface Counted {
  status: string;
  result: CleanupResult | null;
  bytes_logged: number;
  bytes_freed: number;
}

export type CleanupResult = "clear" | "deferred" | "failed";

/** How a cleanup went, for those who count. */
export const result_of = ({ files_failed, survivors, files_deferred }: Receipt["cleanup"]): CleanupResult =>
  files_failed.length + survivors.length > 0 ? "failed" : files_deferred.length > 0 ? "deferred" : "clear";

export const counted = ({ status, receipt }: AgentRecord): Counted => ({
  status,
  result: receipt && result_of(receipt.cleanup),
  bytes_logged: receipt?.cleanup.bytes_logged ?? 0,
  bytes_freed: receipt?.cleanup.bytes_freed ?? 0,
});

export const no_receipts = (): ReceiptSums => ({
  agents: 0,
  clear: 0,
  deferred: 0,
  failed: 0,
  bytes_logged: 0,
  bytes_freed: 0,
});
export const no_sums = (): Sums => ({ by_status: {}, receipts: no_receipts() });

/** Adds an agent's receipt; `times` is -1 to take it off. */
export function add_receipt(to: ReceiptSums, { result, bytes_logged, bytes_freed }: Counted, times: 1 | -1 = 1): void {
  if (result === null) return;
  to.agents += times;
  to[result] += times;
  to.bytes_logged += times * bytes_logged;
  to.bytes_freed += times * bytes_freed;
}

export function add_agent(to: Sums, one: Counted, times: 1 | -1 = 1): void {
  to.by_status[one.status] = (to.by_status[one.status] ?? 0) + times;
  add_receipt(to.receipts, one, times);
}

export function add_receipts(to: ReceiptSums, more: ReceiptSums): void {
  for (const name of Object.keys(to) as (keyof ReceiptSums)[]) to[name] += more[name];
}

export function add_sums(to: Sums, more: Sums): void {
  for (const [status, count] of Object.entries(more.by_status))
    to.by_status[status] = (to.by_status[status] ?? 0) + count;
  add_receipts(to.receipts, more.receipts);
}
