/** Operations on the supervisor itself: who serves, what is held, what happened, stop. */
import { z } from "zod";
import { alert } from "../alert.ts";
import { containment_report } from "../containment.ts";
import { metrics_answer } from "../metrics.ts";
import { holder, receipt, verdict } from "../receipt.ts";
import { define, flag, none } from "./define.ts";

export const supervisor_event = z.object({
  at: z.string(),
  type: z.enum([
    "agent_queued",
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
    "archives_expired",
    "task_expired",
    "alert",
    "warning",
  ]),
  agent_id: z.string().nullable(),
  message: z.string(),
  /** The whole alert, with type `alert`. */
  alert: alert.optional(),
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
/** What the sweeper found: one piece of garbage, or something that looks like it and is left alone. */
export const garbage_item = z.object({
  what: z.enum([
    "deferred_removal",
    "ended_agent",
    "expired_archive",
    "expired_receipts",
    "expired_task",
    "orphaned_file",
    "stale_temporary",
    "runtime_file",
    "orphaned_session",
    "empty_group",
  ]),
  path: z.string().describe("the file, directory, session or control group; for ended_agent the agent's id"),
  why: z.string(),
  action: z.enum(["remove", "move", "wait", "leave"]),
  /** `done`; `dry_run`: it would have been; `left`: nothing was to be done now; `failed`: see `error`. */
  result: z.enum(["done", "dry_run", "left", "failed"]),
  error: z.string().nullable(),
});
export type GarbageItem = z.infer<typeof garbage_item>;

export const health = z.object({
  ok: z.literal(true),
  pid: z.int(),
  version: z.string(),
  workspace: z.string(),
  runtime_dir: z.string(),
  tmux_socket: z.string(),
  running: z.int(),
  /** Agents that wait for room. Absent from supervisors before this field. */
  queued: z.int().optional(),
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
    description:
      "One sweep now: deferred removals are tried again, what is expired or orphaned is removed, and what is left alone is named.",
    params: none,
    query: none,
    body: z.strictObject({ dry_run: z.boolean().default(false).describe("only say what would be removed") }),
    mcp: {
      tool: "collect_garbage",
      description:
        "Sweep now: removals that had to wait are tried again, and expired archives and what belongs to nothing any more are removed. This also happens by itself every few minutes. Answers {success, removed, deferred, items}: deferred with the holders of what still waits, and items [{what, path, why, action, result}], with all that was found. With dry_run nothing is removed.",
      hints: { destructive: true, idempotent: true },
    },
    response: z.object({
      removed: z.array(z.string()),
      deferred: z.array(
        z.object({ path: z.string(), verdict: verdict, holders: z.array(holder), reason: z.string().nullable() }),
      ),
      items: z.array(garbage_item).default([]),
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
    content_type: "application/x-ndjson",
  }),
  metrics: define({
    method: "GET",
    path: "/metrics",
    description: "All metrics, as text for Prometheus.",
    params: none,
    query: none,
    body: z.unknown(),
    response: z.unknown(),
    stream: true,
    content_type: "text/plain; version=0.0.4; charset=utf-8",
  }),
  get_metrics: define({
    method: "GET",
    path: "/v1/metrics",
    description: "The supervisor's metrics as JSON, and what the receipts add up to.",
    params: none,
    query: z.strictObject({ process: flag.describe("also the figures of the supervisor's own process") }),
    body: z.unknown(),
    response: metrics_answer,
    mcp: {
      tool: "get_metrics",
      description:
        "How the whole supervisor does: agents by status, cleanups by result with their durations, files that wait, lsof, queue, memory of hosts, free disk, alerts. Use it to see whether there is room for more agents, or whether cleanups fail. Answers {success, since, metrics: [{name, type, help, values: [{labels, value}]}], receipts}; durations are in seconds, a histogram's value is its mean.",
      hints: { read_only: true },
    },
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
