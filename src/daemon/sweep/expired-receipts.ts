/**
 * Receipts in the journals that are too old, or too much, the oldest first. After the archives: a receipt is kept as long as there is anything
 * of its agent, except that the size of all journals has a bound of its own (an archive has its receipt beside it). An agent whose files were
 * kept in place, or left alone, is not forgotten while one of them is there: nobody could tell whose they are. Nor is one while somebody lives whom it deployed, itself or
 * by others: `kill --tree` finds the living by the dead between.
 */
import { lstat } from "node:fs/promises";
import { is_errno } from "../../contract/errors.ts";
import { is_ended } from "../../contract/status.ts";
import type { Entry } from "../registry/journal-lines.ts";
import type { Task } from "../registry/task.ts";
import { ancestors_of } from "../tree.ts";
import type { Sweep } from "./sweep.ts";

const DAY_MS = 86_400_000;

/** False only when the system says of each file that it is not there. Asked once a sweep for those that are old, so that many kept agents cost little. */
async function may_have_files(sweep: Sweep, task: Task, { id, ended_ms }: Entry): Promise<boolean> {
  const { registry, config, ages } = sweep.services;
  if (ages.age_of(ended_ms) < config.retention.days * DAY_MS) return true;
  // One that would only leave in this sweep is not in the journal yet.
  const record = (await registry.record_of(task, id)) ?? task.agents.get(id);
  const cleanup = record?.receipt?.cleanup;
  if (!cleanup) return true;
  const paths = [...cleanup.files_kept, ...cleanup.files_failed.map(({ path }) => path)];
  return (await Promise.all(paths.map(may_be_there))).includes(true);
}

async function may_be_there(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    return !is_errno(error, "ENOENT", "ENOTDIR");
  }
}

export async function expired_receipts(sweep: Sweep): Promise<void> {
  const { registry, config, ages } = sweep.services;
  const { days, receipts_max_bytes } = config.retention;
  const all = [
    ...[...registry.tasks.values()].flatMap((task) => [...task.journal.entries()].map((entry) => ({ task, entry }))),
    ...sweep.would_leave.map(({ task, agent }) => ({ task, entry: task.journal.entry_to_be(agent) })),
  ];
  const agents = registry.agents();
  const needed = ancestors_of(
    agents.filter(({ status }) => !is_ended(status)),
    [...agents, ...all.map(({ entry }) => entry)],
  );
  let total = all.reduce((sum, { entry }) => sum + entry.length + 1, 0);
  const expired = new Map<Task, { old: Entry[]; excess: Entry[] }>();
  for (const { task, entry } of all.sort((a, b) => a.entry.ended_ms - b.entry.ended_ms)) {
    if (needed.has(entry.id) || (entry.kept && (await may_have_files(sweep, task, entry)))) continue;
    const lists = expired.get(task) ?? { old: [], excess: [] };
    const found = { what: "expired_receipts", path: `${task.journal.path}#${entry.id}`, why: "" } as const;
    if (total > receipts_max_bytes) lists.excess.push(entry);
    else if (
      ages.age_of(entry.ended_ms) >= days * DAY_MS &&
      !sweep.archived.has(`${task.task_id}/${entry.id}`) &&
      sweep.is_known_long(found)
    )
      lists.old.push(entry);
    else continue;
    total -= entry.length + 1;
    expired.set(task, lists);
  }
  for (const [task, { old, excess }] of expired) {
    const why = `${old.length} receipts are older than ${days} days, ${excess.length} are over ${receipts_max_bytes} bytes in all`;
    await sweep.dispose({ what: "expired_receipts", path: task.journal.path, why }, () =>
      task.journal.forget([...old, ...excess].map((one) => one.id)),
    );
  }
}
