/** Operations on the supervisor itself: who serves, what is held, what happened, stop. */
import { z } from "zod";
import { containment_report } from "../containment.ts";
import { holder, receipt, verdict } from "../receipt.ts";
import { define, flag, none } from "./define.ts";

export const supervisor_event = z.object({
  at: z.string(),
  type: z.enum([
    "agent_started",
    "agent_exited",
    "agent_ending",
    "agent_end_waiting",
    "agent_ended",
    "agent_adopted",
    "agent_stalled",
    "agent_resumed",
    "pane_lost",
    "pane_restored",
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
export const health = z.object({
  ok: z.literal(true),
  pid: z.int(),
  version: z.string(),
  workspace: z.string(),
  runtime_dir: z.string(),
  tmux_socket: z.string(),
  running: z.int(),
  /** Absent from supervisors before this field. */
  containment: containment_report.optional(),
});

export const supervisor_operations = {
  health: define({
    method: "GET",
    path: "/healthz",
    description: "Who serves this workspace.",
    params: none,
    query: none,
    body: z.unknown(),
    response: health,
  }),
  verify: define({
    method: "POST",
    path: "/v1/verify",
    description: "lsof's verdict on the tracked files of one agent, or of all.",
    params: none,
    query: none,
    body: z.strictObject({ agent: z.string().optional().describe("only this agent") }),
    response: z.object({ success: z.boolean(), files: z.array(file_report) }),
    mcp: {
      tool: "verify_handles",
      description:
        "Ask lsof who holds the files of an agent, or of all agents, open. Use it before you move or remove something, or to see why files wait in trash. Answers {success, files: [{agent_id, role, path, exists, verdict: clear | held | unknown, holders}]}; success is false when a file of an ended agent is held or cannot be told.",
      rename: { agent: "agent_id" },
      hints: { read_only: true },
    },
  }),
  gc: define({
    method: "POST",
    path: "/v1/gc",
    description: "Try the deferred removals again.",
    params: none,
    query: none,
    body: z.strictObject({ dry_run: z.boolean().default(false).describe("only say what would be removed") }),
    mcp: {
      tool: "collect_garbage",
      description:
        "Try the removals again that had to wait because somebody held the files. This also happens by itself every minute. Answers {success, removed, deferred}, with the holders of what still waits.",
      hints: { destructive: true, idempotent: true },
    },
    response: z.object({
      removed: z.array(z.string()),
      deferred: z.array(
        z.object({ path: z.string(), verdict: verdict, holders: z.array(holder), reason: z.string().nullable() }),
      ),
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
