/**
 * The one table of operations: name, method, path, schemas, description. Server routes, the typed client and the API page of the
 * docs derive from it. Requests are strict: a misspelled field is refused, not ignored.
 */
import { z } from "zod";
import { agent_mode, agent_record, stdout_kind } from "./agent.ts";
import { AGENT_TYPE_PATTERN, TASK_ID_PATTERN } from "./ids.ts";
import { cleanup_policy, holder, receipt, verdict } from "./receipt.ts";

const no_nul = (text: string) => !text.includes("\0");
const argument = z.string().refine(no_nul, "must not contain a NUL byte");
/** An hour; a longer grace is a mistake. In ms. */
const grace_ms = z.int().min(0).max(3_600_000);
const reason = z.string().max(1000);

export const deploy_request = z.strictObject({
  task_id: z.string().regex(TASK_ID_PATTERN, "must look like TASK-20251029-225319-45548b6a").optional(),
  type: z
    .string()
    .regex(AGENT_TYPE_PATTERN, "must be 1 to 64 letters, digits, '_' or '-', beginning with a letter or digit")
    .default("agent"),
  prompt: z
    .string()
    .max(8 * 1024 * 1024)
    .optional(),
  parent: z.string().optional(),
  command: z
    .array(argument)
    .min(1)
    .refine((command) => command[0] !== "", "must begin with a program"),
  cwd: argument,
  env: z
    .record(
      z
        .string()
        .min(1)
        .refine((name) => no_nul(name) && !name.includes("="), "is not a variable name"),
      argument,
    )
    .default({}),
  mode: agent_mode.default("headless"),
  stdout: stdout_kind.default("pty"),
  grace_ms: grace_ms.default(5000),
  cleanup: cleanup_policy.default("archive"),
});
export type DeployRequest = z.infer<typeof deploy_request>;

export const log_format = z.enum(["text", "jsonl", "parsed"]);
export type LogFormat = z.infer<typeof log_format>;
const flag = z.stringbool().default(false);
export const log_query = z.strictObject({
  follow: flag,
  lines: z.coerce.number().int().min(0).max(100_000).optional(),
  filter: z.string().max(1000).optional(),
  format: log_format.default("text"),
  stream: z.enum(["log", "terminal"]).default("log"),
});
export type LogQuery = z.infer<typeof log_query>;

export const supervisor_event = z.object({
  at: z.string(),
  type: z.enum([
    "agent_started",
    "agent_exited",
    "agent_ending",
    "agent_ended",
    "agent_adopted",
    "agent_stalled",
    "agent_resumed",
    "progress",
    "finding",
    "files_removed",
    "warning",
  ]),
  agent_id: z.string().nullable(),
  message: z.string(),
});
export type SupervisorEvent = z.infer<typeof supervisor_event>;

export const file_report = z.object({
  agent_id: z.string(),
  status: z.string(),
  role: z.string(),
  path: z.string(),
  exists: z.boolean(),
  verdict,
  holders: z.array(holder),
  reason: z.string().nullable(),
});
export const task_summary = z.object({
  task_id: z.string(),
  task_description: z.string(),
  created_at: z.string(),
  status: z.string(),
  agents: z.record(z.string(), z.int()),
});
export const kill_options = z.strictObject({
  reason: reason.default("killed on request"),
  grace_ms: grace_ms.optional(),
  cleanup: cleanup_policy.default("delete"),
});
export const health = z.object({
  ok: z.literal(true),
  pid: z.int(),
  version: z.string(),
  workspace: z.string(),
  runtime_dir: z.string(),
  tmux_socket: z.string(),
  running: z.int(),
});

const agent_params = z.strictObject({ agent: z.string().min(1).max(100) });
const none = z.strictObject({});
const define = <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(operation: {
  method: "GET" | "POST";
  path: string;
  description: string;
  params: P;
  query: Q;
  body: B;
  response: R;
  stream?: boolean;
}) => operation;

export const OPERATIONS = {
  health: define({
    method: "GET",
    path: "/healthz",
    description: "Who serves this workspace.",
    params: none,
    query: none,
    body: z.unknown(),
    response: health,
  }),
  deploy: define({
    method: "POST",
    path: "/v1/agents",
    description: "Start an agent. Answers when it runs.",
    params: none,
    query: none,
    body: deploy_request,
    response: agent_record,
  }),
  list_agents: define({
    method: "GET",
    path: "/v1/agents",
    description: "Agents, with all=true also those that ended.",
    params: none,
    query: z.strictObject({ all: flag, task: z.string().optional() }),
    body: z.unknown(),
    response: z.array(agent_record),
  }),
  get_agent: define({
    method: "GET",
    path: "/v1/agents/:agent",
    description: "One agent, with its receipt once it ended.",
    params: agent_params,
    query: none,
    body: z.unknown(),
    response: agent_record,
  }),
  logs: define({
    method: "GET",
    path: "/v1/agents/:agent/logs",
    description: "The agent's log: bytes as they are, or lines in the format asked for.",
    params: agent_params,
    query: log_query,
    body: z.unknown(),
    response: z.unknown(),
    stream: true,
  }),
  attach: define({
    method: "GET",
    path: "/v1/agents/:agent/attach",
    description: "How to attach to the agent's terminal: a command to run.",
    params: agent_params,
    query: none,
    body: z.unknown(),
    response: z.object({ command: z.array(z.string()) }),
  }),
  send: define({
    method: "POST",
    path: "/v1/agents/:agent/input",
    description: "Type into the agent's terminal.",
    params: agent_params,
    query: none,
    body: z.strictObject({ text: z.string().max(32 * 1024), enter: z.boolean().default(true) }),
    response: z.object({ accepted: z.literal(true) }),
  }),
  wait: define({
    method: "GET",
    path: "/v1/agents/:agent/wait",
    description: "Answers when the agent's end is complete, or the time is up.",
    params: agent_params,
    query: z.strictObject({ timeout_ms: z.coerce.number().int().min(0).max(86_400_000).optional() }),
    body: z.unknown(),
    response: receipt,
  }),
  kill: define({
    method: "POST",
    path: "/v1/agents/:agent/kill",
    description: "End an agent, with proof.",
    params: agent_params,
    query: none,
    body: kill_options,
    response: receipt,
  }),
  kill_many: define({
    method: "POST",
    path: "/v1/kill",
    description: "End all agents of a task, or all.",
    params: none,
    query: none,
    body: kill_options.extend({ task_id: z.string().optional(), all: z.boolean().default(false) }),
    response: z.object({ success: z.boolean(), receipts: z.array(receipt) }),
  }),
  progress: define({
    method: "POST",
    path: "/v1/agents/:agent/progress",
    description: "An agent reports how far it is.",
    params: agent_params,
    query: none,
    body: z.strictObject({
      status: z.string().min(1).max(50),
      message: z.string().max(100_000),
      progress: z.number().min(0).max(100).optional(),
    }),
    response: z.object({ success: z.literal(true) }),
  }),
  finding: define({
    method: "POST",
    path: "/v1/agents/:agent/findings",
    description: "An agent reports what it found.",
    params: agent_params,
    query: none,
    body: z.strictObject({
      finding_type: z.string().min(1).max(100),
      severity: z.string().min(1).max(50),
      message: z.string().max(1_000_000),
      data: z.record(z.string(), z.unknown()).default({}),
    }),
    response: z.object({ success: z.literal(true) }),
  }),
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
  verify: define({
    method: "POST",
    path: "/v1/verify",
    description: "lsof's verdict on the tracked files of one agent, or of all.",
    params: none,
    query: none,
    body: z.strictObject({ agent: z.string().optional() }),
    response: z.object({ success: z.boolean(), files: z.array(file_report) }),
  }),
  gc: define({
    method: "POST",
    path: "/v1/gc",
    description: "Try the deferred removals again.",
    params: none,
    query: none,
    body: z.strictObject({ dry_run: z.boolean().default(false) }),
    response: z.object({
      removed: z.array(z.string()),
      deferred: z.array(z.object({ path: z.string(), verdict: verdict, holders: z.array(holder) })),
    }),
  }),
  events: define({
    method: "GET",
    path: "/v1/events",
    description: "What happened, one JSON object a line.",
    params: none,
    query: z.strictObject({ follow: flag }),
    body: z.unknown(),
    response: z.unknown(),
    stream: true,
  }),
  stop: define({
    method: "POST",
    path: "/v1/stop",
    description: "Stop the supervisor; with agents=true end all agents first.",
    params: none,
    query: none,
    body: z.strictObject({ agents: z.boolean().default(false) }),
    response: z.object({ agents_running: z.int(), receipts: z.array(receipt) }),
  }),
} as const;

export type OperationName = keyof typeof OPERATIONS;
type Operations = typeof OPERATIONS;
/** What a handler gets: everything parsed, defaults filled in. */
export interface ParsedRequest<N extends OperationName> {
  params: z.output<Operations[N]["params"]>;
  query: z.output<Operations[N]["query"]>;
  body: z.output<Operations[N]["body"]>;
}
export type Answer<N extends OperationName> = z.output<Operations[N]["response"]>;
/** What a client sends. */
export interface CallRequest<N extends OperationName> {
  params?: z.input<Operations[N]["params"]>;
  query?: Record<string, string | number | boolean | undefined>;
  body?: z.input<Operations[N]["body"]>;
}
