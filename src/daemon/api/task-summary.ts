/** A task as the API shows it. */
import type { Answer } from "../../contract/operations.ts";
import type { Task } from "../registry/registry.ts";

export function summary(task: Task): Answer<"create_task"> {
  const agents: Record<string, number> = {};
  for (const agent of task.agents.values()) agents[agent.status] = (agents[agent.status] ?? 0) + 1;
  const { task_description, created_at, status } = task.store.data;
  return { task_id: task.task_id, task_description, created_at, status, agents };
}
