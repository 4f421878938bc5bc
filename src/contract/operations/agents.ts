/** Operations on agents that are there: which there are, their terminal and their logs' limit, the wait for their end. */
import { z } from "zod";
import { agent_record } from "../agent.ts";
import { agent_view } from "../agent-view.ts";
import { usage } from "../containment.ts";
import { log_max_bytes } from "../log-limit.ts";
import { receipt } from "../receipt.ts";
import { agent_params, agent_tool, define, flag, none } from "./define.ts";

export const agents_operations = {
  list_agents: define({
    method: "GET",
    path: "/v1/agents",
    description: "Agents, with all=true also those that ended.",
    params: none,
    query: z.strictObject({
      all: flag,
      task: z.string().min(1).optional(),
      limit: z.coerce
        .number()
        .int()
        .min(1)
        .max(100_000)
        .default(1000)
        .describe("with all: at most so many of the agents that have left the registry, the newest"),
    }),
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
    body: z.strictObject({
      text: z
        .string()
        .max(32 * 1024)
        .describe("what to type"),
      enter: z.boolean().default(true).describe("press Enter after it"),
    }),
    response: z.object({ accepted: z.literal(true) }),
    mcp: agent_tool({
      tool: "send_input",
      description:
        "Type a line into an agent's terminal, as a person would. For interactive agents, and for programs that ask on their terminal; a headless agent reads its prompt from stdin and does not see it. Answers {success, accepted}.",
      hints: {},
    }),
  }),
  set_log_limit: define({
    method: "POST",
    path: "/v1/agents/:agent/log-limit",
    description:
      "Change how large the agent's logs may grow; one that waits for room goes on. Null takes the limit away.",
    params: agent_params,
    query: none,
    body: z.strictObject({ log_max_bytes: log_max_bytes.nullable() }),
    response: agent_record,
  }),
  wait: define({
    method: "GET",
    path: "/v1/agents/:agent/wait",
    description: "Answers when the agent's end is complete, or the time is up.",
    params: agent_params,
    query: z.strictObject({
      timeout_ms: z.coerce.number().int().min(0).max(86_400_000).optional().describe("how long to wait, in ms"),
    }),
    body: z.unknown(),
    response: receipt,
    mcp: agent_tool({
      tool: "wait_for_agent",
      description:
        "Wait until an agent has ended, instead of asking again and again. Answers with its receipt (status, exit code, what became of its processes and files) and ended: true; when the time is up first (50 s unless timeout_ms says otherwise), {success, agent_id, ended: false, status, progress, message}: call again.",
      hints: { read_only: true },
    }),
  }),
} as const;
