/** A task as the API shows it. */

import type { SupervisorConfig } from "../../contract/config.ts";
import { task_context } from "../../contract/operations/tasks.ts";
import type { Answer } from "../../contract/operations.ts";
import { bounds_of } from "../admission/limits.ts";
import { count_agents } from "../registry/count-agents.ts";
import type { Task } from "../registry/task.ts";

export function summary(task: Task, config: SupervisorConfig): Answer<"create_task"> {
  const agents = count_agents(task);
  const { task_description, created_at, status, priority } = task.store.data;
  const context = task_context.safeParse(task.store.data.task_context ?? {});
  return {
    task_id: task.task_id,
    task_description,
    created_at,
    status,
    priority,
    workspace: task.dir,
    // Another program's registry may have something else there; it stays in the file.
    task_context: context.success ? context.data : {},
    agents,
    limits: bounds_of(task, config.limits),
  };
}
