/** Operations on tasks: groups of agents. */
import { z } from "zod";
import { agent_record } from "../agent.ts";
import { define, none } from "./define.ts";

export const task_summary = z.object({
  task_id: z.string(),
  task_description: z.string(),
  created_at: z.string(),
  status: z.string(),
  agents: z.record(z.string(), z.int()),
});

export const tasks_operations = {
  create_task: define({
    method: "POST",
    path: "/v1/tasks",
    description: "Create a task.",
    params: none,
    query: none,
    body: z.strictObject({ description: z.string().min(1).max(100_000) }),
    response: task_summary,
  }),
  list_tasks: define({
    method: "GET",
    path: "/v1/tasks",
    description: "All tasks.",
    params: none,
    query: none,
    body: z.unknown(),
    response: z.array(task_summary),
  }),
  get_task: define({
    method: "GET",
    path: "/v1/tasks/:task",
    description: "One task and its agents.",
    params: z.strictObject({ task: z.string() }),
    query: none,
    body: z.unknown(),
    response: task_summary.extend({ agent_records: z.array(agent_record) }),
  }),
} as const;
