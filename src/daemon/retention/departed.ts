/** Records of agents that have left the registry, read from the journals one after the other: the memory holds what is asked for. */
import type { AgentRecord } from "../../contract/agent.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";

/** The newest `limit` of these tasks, the one that ended first first. */
export async function departed(services: Services, tasks: readonly Task[], limit: number): Promise<AgentRecord[]> {
  const entries = tasks.flatMap((task) => [...task.journal.entries()].map((entry) => ({ task, entry })));
  const newest = entries.sort((a, b) => a.entry.ended_ms - b.entry.ended_ms).slice(-limit);
  const records: AgentRecord[] = [];
  for (const { task, entry } of newest) {
    const record = await services.registry.record_of(task, entry.id);
    // Forgotten meanwhile.
    if (record) records.push(record);
  }
  return records;
}

/** Those of a task whose files may still be read: archived, or kept in place. */
export async function* departed_with_files(services: Services, task: Task): AsyncGenerator<AgentRecord> {
  for (const { id } of [...task.journal.entries()].filter((entry) => entry.archived || entry.kept)) {
    const record = await services.registry.record_of(task, id);
    if (record) yield record;
  }
}
