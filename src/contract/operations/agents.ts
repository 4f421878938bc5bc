/** Operations on agents: their beginning, their terminal, their end. */
import { z } from "zod";
import { agent_mode, agent_record, stdout_kind } from "../agent.ts";
import { usage } from "../containment.ts";
import { host_state } from "../host-state.ts";
import { AGENT_TYPE_PATTERN, TASK_ID_PATTERN } from "../ids.ts";
import { cleanup_policy, receipt } from "../receipt.ts";
import { agent_params, define, flag, none } from "./define.ts";

const no_nul = (text: string) => !text.includes("\0");
const argument = z.string().refine(no_nul, "must not contain a NUL byte");
/** An hour; a longer grace is a mistake. In ms. */
const grace_ms = z.int().min(0).max(3_600_000);
const reason = z.string().max(1000);
const environment = z.record(
  z
    .string()
    .min(1)
    .refine((name) => no_nul(name) && !name.includes("="), "is not a variable name"),
  argument,
);

export const deploy_request = z.strictObject({
  task_id: z.string().regex(TASK_ID_PATTERN, "must look like TASK-20251029-225319-45548b6a").optional(),
  type: z
    .string()
    .regex(AGENT_TYPE_PATTERN, "must be 1 to 64 letters, digits, '_' or '-', beginning with a letter or digit")
    .optional(),
  prompt: z
    .string()
    .max(8 * 1024 * 1024)
    .optional(),
  parent: z.string().optional(),
  /** The program and its arguments; or else a profile has them. */
  command: z
    .array(argument)
    .min(1)
    .refine((command) => command[0] !== "", "must begin with a program")
    .optional(),
  /** What is left out below is what the profile says, else the default: type agent, headless, pty, 5000 ms, archive. */
  profile: z.string().min(1).max(100).optional(),
  /** Appended to the command, or to the profile's arguments. */
  args: z.array(argument).default([]),
  /** A session to go on with, in the profile's own way. It becomes an argument, and must not look like an option. */
  resume: argument.min(1).max(1000).regex(/^[^-]/, "must not begin with '-'").optional(),
  cwd: argument,
  /** Weightier than the profile's variables, and those than `caller_env`. */
  env: environment.default({}),
  /** What the agent inherits. With `clean_env` only what the profile passes on by name. */
  caller_env: environment.default({}),
  clean_env: z.boolean().default(false),
  mode: agent_mode.optional(),
  stdout: stdout_kind.optional(),
  grace_ms: grace_ms.optional(),
  cleanup: cleanup_policy.optional(),
  /** Limits on all processes of the agent together: bytes, processes and threads, cores. Absent = none. */
  memory_max: z.int().min(1).optional(),
  pids_max: z.int().min(1).optional(),
  cpu_max: z.number().min(0.01).max(100_000).optional(),
});
export type DeployRequest = z.infer<typeof deploy_request>;

/** An agent as it is shown: its record, and how the daemon stands with its host, with the reason when that is bad. */
export const agent_view = agent_record.extend({ host_state, host_state_reason: z.string() });
export type AgentView = z.infer<typeof agent_view>;

export const kill_options = z.strictObject({
  reason: reason.default("killed on request"),
  grace_ms: grace_ms.optional(),
  cleanup: cleanup_policy.default("delete"),
});

export const agents_operations = {
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
    response: z.array(agent_view),
  }),
  get_agent: define({
    method: "GET",
    path: "/v1/agents/:agent",
    description: "One agent, with what it uses while it runs, and its receipt once it ended.",
    params: agent_params,
    query: none,
    body: z.unknown(),
    response: agent_view.extend({ usage: usage.nullable().default(null) }),
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
} as const;
