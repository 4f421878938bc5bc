/** How many agents of each status a task has, with those that have left its registry. */
import type { Task } from "./registry.ts";

export function count_agents({ agents, journal }: Task): Record<string, number> {
  const counts: Record<string, number> = {};
  const add = ({ status }: { status: string }) => {
    counts[status] = (counts[status] ?? 0) + 1;
  };
  for (const agent of agents.values()) add(agent);
  for (const entry of journal.entries()) add(entry);
  return counts;
}
