/** Operations on tasks: groups of agents. */
import { z } from "zod";
import { agent_record } from "../agent.ts";
import { task_limits } from "../agent-limits.ts";
import { define, none } from "./define.ts";
import { coordination_info, progress_report } from "./reports.ts";

/** What a task is about, beyond its description. Kept with the task and shown with it; prompts are left as they are. */
export const task_context = z.object({
  background_context: z.string().max(100_000).optional().describe("what one must know to understand the task"),
  expected_deliverables: z.array(z.string().max(10_000)).max(200).optional().describe("what shall be there in the end"),
  success_criteria: z.array(z.string().max(10_000)).max(200).optional().describe("how one tells that it is done"),
  constraints: z.array(z.string().max(10_000)).max(200).optional().describe("what must be kept to"),
  relevant_files: z.array(z.string().max(4096)).max(1000).optional().describe("files to look at"),
  conversation_history: z
    .array(
      z.looseObject({ role: z.string().max(50), content: z.string().max(100_000), timestamp: z.string().optional() }),
    )
    .max(500)
    .optional()
    .describe("what was said before, oldest first"),
});

export const task_summary = z.object({
  task_id: z.string(),
  task_description: z.string(),
  created_at: z.string(),
  status: z.string(),
  priority: z.string(),
  /** The task's directory. */
  workspace: z.string(),
  task_context,
  agents: z.record(z.string(), z.int()),
  /** What holds for it: its own limits, or the config's. */
  limits: task_limits.required(),
});

/** What the agents of a task reported last, newest first; long messages are cut. Complete are the files, and `findings`. */
const recent_reports = z.object({
  recent_updates: z.array(progress_report),
  recent_findings: coordination_info.shape.recent_findings,
  total_progress_entries: z.int(),
  total_findings: z.int(),
});

export const tasks_operations = {
  create_task: define({
    method: "POST",
    path: "/v1/tasks",
    description: "Create a task.",
    params: none,
    query: none,
    body: z.strictObject({
      description: z.string().min(1).max(100_000).describe("what is to be done"),
      priority: z.string().min(1).max(20).default("P2").describe("P0 to P4, or another word; it is kept and shown"),
      client_cwd: z.string().max(4096).optional().describe("the directory the task is about; it is kept and shown"),
      ...task_limits.shape,
      ...task_context.shape,
    }),
    response: task_summary,
    mcp: {
      tool: "create_real_task",
      description:
        "Create a task: a group that agents are deployed into, with a directory for their files. Use it first, then deploy_headless_agent with its task_id. Answers {success, task_id, description, priority, workspace, status}. The context given here is kept with the task and shown by get_real_task_status; it is not put into agents' prompts.",
      hints: {},
    },
  }),
  list_tasks: define({
    method: "GET",
    path: "/v1/tasks",
    description: "All tasks.",
    params: none,
    query: none,
    body: z.unknown(),
    response: z.array(task_summary),
    mcp: {
      tool: "list_tasks",
      description:
        "List all tasks of this workspace, with how many agents of each status they have. Answers {success, count, tasks}.",
      hints: { read_only: true },
    },
  }),
  get_task: define({
    method: "GET",
    path: "/v1/tasks/:task",
    description: "One task and its agents.",
    params: z.strictObject({ task: z.string().min(1).max(100).describe("the task") }),
    query: none,
    body: z.unknown(),
    response: task_summary.extend({ agent_records: z.array(agent_record), reports: recent_reports }),
    mcp: {
      tool: "get_real_task_status",
      description:
        "See how a task stands: its agents with status, progress and last message, who is whose parent, and the latest progress reports and findings. Answers {success, task_id, description, status, workspace, agents{total_spawned, active, completed, agents_list}, hierarchy, enhanced_progress{recent_updates, recent_findings, …}}.",
      rename: { task: "task_id" },
      hints: { read_only: true },
    },
  }),
} as const;
