/** The end of agents: of one, of a task's, or of all. */
import { z } from "zod";
import { cleanup_policy, receipt } from "../receipt.ts";
import { agent_params, agent_tool, define, grace_ms, none } from "./define.ts";

const reason = z.string().max(1000);

export const kill_options = z.strictObject({
  reason: reason.default("killed on request").describe("why; it stands in the receipt"),
  grace_ms: grace_ms
    .optional()
    .describe("how long it may take after SIGTERM, in ms (default: what it was deployed with)"),
  cleanup: cleanup_policy.default("delete").describe("what becomes of its files"),
});

/** A kill's answer: the receipt of the agent that was named, and what became of its children, where it has living ones. */
export const kill_answer = receipt.extend({
  /** Living descendants that go on: it was not asked for them. */
  children_left: z.array(z.string()).optional(),
  /** With `tree`: the receipts of its descendants. */
  descendants: z.array(receipt).optional(),
});

export const kill_operations = {
  kill: define({
    method: "POST",
    path: "/v1/agents/:agent/kill",
    description: "End an agent, with proof.",
    params: agent_params,
    query: none,
    body: kill_options.extend({
      tree: z.boolean().default(false).describe("also end all agents that it deployed, and those that they deployed"),
    }),
    response: kill_answer,
    mcp: agent_tool({
      tool: "kill_real_agent",
      description:
        'End an agent and prove it: SIGTERM, then SIGKILL to all its processes after a grace, its output written to the end, its files checked by lsof and deleted. Answers when all of that is done, with {success, agent_id, tmux_session, session_killed, reason, status, cleanup{files_deleted, files_failed, files_deferred, …}}. A second kill answers the same receipt. To keep its output, use cleanup: "archive".',
      hints: { destructive: true, idempotent: true },
    }),
  }),
  kill_many: define({
    method: "POST",
    path: "/v1/kill",
    description: "End all agents of a task, or all.",
    params: none,
    query: none,
    body: kill_options.extend({ task_id: z.string().min(1).optional(), all: z.boolean().default(false) }),
    response: z.object({ success: z.boolean(), receipts: z.array(receipt) }),
  }),
} as const;
