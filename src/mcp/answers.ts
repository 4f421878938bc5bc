/**
 * Answers in the shape of the seed's tools, so that prompts written for them go on working. Where the seed has no shape, an answer is the
 * operation's own, with `success`.
 */
import type { AgentRecord } from "../contract/agent.ts";
import { session_name } from "../contract/ids.ts";
import type { Answer, OperationName } from "../contract/operations.ts";
import { is_ended } from "../contract/status.ts";
import type { Request } from "./fill-in.ts";

type Shapes = { [N in OperationName]?: (answer: Answer<N>, request: Request) => Record<string, unknown> };

const SHAPES: Shapes = {
  create_task: (task) => ({
    success: true,
    task_id: task.task_id,
    description: task.task_description,
    priority: task.priority,
    workspace: task.workspace,
    status: task.status,
    has_enhanced_context: Object.keys(task.task_context).length > 0,
    ...task.task_context,
  }),
  list_tasks: (tasks) => ({ success: true, count: tasks.length, tasks }),
  get_task: (task) => ({
    success: true,
    task_id: task.task_id,
    description: task.task_description,
    status: task.status,
    priority: task.priority,
    created_at: task.created_at,
    workspace: task.workspace,
    task_context: task.task_context,
    agents: {
      total_spawned: sum(Object.values(task.agents)),
      active: task.agent_records.filter((agent) => !is_ended(agent.status)).length,
      completed: task.agents.completed ?? 0,
      by_status: task.agents,
      agents_list: task.agent_records.map(listed),
    },
    hierarchy: hierarchy(task.agent_records),
    enhanced_progress: task.reports,
  }),
  deploy: (agent) => ({
    success: true,
    agent_id: agent.id,
    tmux_session: agent.tmux_session,
    type: agent.type,
    parent: agent.parent,
    task_id: agent.task_id,
    // Null where it runs.
    ...(agent.queue_position === null
      ? { status: "deployed" }
      : { status: "queued", position: agent.queue_position, queue_reason: agent.queue_reason }),
    workspace: directory_of(agent),
    deployment_method: "tmux session",
    depth: agent.depth,
    command: agent.command,
    cwd: agent.cwd,
    tracked_files: agent.tracked_files,
  }),
  get_output: ({ lines, ...output }) => ({
    success: true,
    agent_id: output.agent_id,
    session_status: is_ended(output.status) ? "terminated" : "running",
    status: output.status,
    output: lines.join("\n"),
    source: output.metadata.source === "log" ? "jsonl_log" : output.metadata.source,
    tmux_session: session_name(output.agent_id),
    truncated: output.truncated,
    earlier: output.earlier,
    format: output.format,
    response_format: output.response_format,
    summary: output.summary,
    metadata: { ...output.metadata, returned_lines: output.line_count },
  }),
  wait: (answer) =>
    "cause" in answer
      ? { ...answer, ended: true }
      : // The time was up: the agent's record instead of its receipt.
        { ...still_runs(answer as unknown as AgentRecord), ended: false },
};

const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);

/** What a tool answers, from what the operation answered. */
export function answer_of(operation: OperationName, answer: unknown, request: Request): Record<string, unknown> {
  const shape = SHAPES[operation] as ((answer: unknown, request: Request) => Record<string, unknown>) | undefined;
  if (shape) return shape(answer, request);
  return Array.isArray(answer)
    ? { success: true, count: answer.length, items: answer }
    : { success: true, ...(answer as Record<string, unknown>) };
}

/** An agent in a list: all that tells how it is, without what only its end needs. */
function listed({ ending: _ending, cookie: _cookie, host: _host, receipt, ...agent }: AgentRecord) {
  return { ...agent, cleanup_report: receipt?.cleanup ?? null };
}

const still_runs = ({ id, status, progress, message, last_update }: AgentRecord) => ({
  success: true,
  agent_id: id,
  status,
  progress,
  message,
  last_update,
});

function hierarchy(agents: readonly AgentRecord[]): Record<string, string[]> {
  const children: Record<string, string[]> = { orchestrator: [] };
  for (const { id, parent } of agents) children[parent] = [...(children[parent] ?? []), id];
  return children;
}

/** The task's directory: the prompt file stands in it. */
const directory_of = (agent: AgentRecord) => agent.tracked_files.prompt_file?.replace(/\/[^/]*$/, "") ?? null;
