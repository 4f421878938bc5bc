/** What a task's agents are, and add up to, with those that have left its registry and those that are forgotten. */
import type { ReceiptSums } from "../../contract/metrics.ts";
import { add_receipt, add_receipts, counted, no_receipts } from "./sums.ts";
import type { Task } from "./task.ts";

/** Those in the registry. One that is just leaving is in the journal too, and is counted there. */
const staying = ({ agents, journal }: Task) => [...agents.values()].filter(({ id }) => journal.get(id) === undefined);

/** How many agents of each status it has had. */
export function count_agents(task: Task): Record<string, number> {
  const counts = { ...task.journal.sums.by_status };
  for (const { status } of staying(task)) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** What all their receipts add up to. */
export function sum_receipts(task: Task): ReceiptSums {
  const sum = no_receipts();
  add_receipts(sum, task.journal.sums.receipts);
  for (const agent of staying(task)) add_receipt(sum, counted(agent));
  return sum;
}
