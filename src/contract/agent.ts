import { z } from "zod";
import { cgroup_ref, containment_mode, limits, NO_LIMITS } from "./containment.ts";
import type { Kept } from "./kept.ts";
import { log_limit, NO_LOG_LIMIT } from "./log-limit.ts";
import { cleanup_policy, closed_report, end_step, exit_status, process_ref, receipt, result_said } from "./receipt.ts";
import { end_cause } from "./status.ts";

/** How the agent's terminal is set up: `headless` is byte-exact (raw, no echo, stdin from the prompt file); `interactive` is a normal terminal. */
export const agent_mode = z.enum(["headless", "interactive"]);

/** Where stdout goes: onto the pty with everything else, or through a pipe of its own (see design, "Lossless output"). */
export const stdout_kind = z.enum(["pty", "pipe"]);

/** The files an agent has, by role. A plain deploy has the first five; absolute paths. */
export const tracked_files = z.record(z.string(), z.string());
export type TrackedFiles = z.infer<typeof tracked_files>;

/** The host of an agent: its process, its control socket, and the boot it lives in (pids mean nothing in another). */
export const host_ref = process_ref.extend({ socket: z.string(), protocol: z.int(), boot_id: z.string() });

/** A tracked file that was renamed into trash. `bytes` is its size at that moment. */
export const set_aside_file = z.object({
  role: z.string(),
  path: z.string(),
  trash_path: z.string(),
  bytes: z.int().nonnegative(),
});
export type SetAsideFile = z.infer<typeof set_aside_file>;

/** An end that is under way. `step` is on disk before the step begins, so that a restart resumes there. */
export const ending = z.object({
  cause: end_cause,
  reason: z.string(),
  requested_at: z.string(),
  cleanup: cleanup_policy,
  grace_ms: z.int().nonnegative(),
  step: end_step,
  closed: closed_report.nullable(),
  session_killed: z.boolean(),
  /** Read from the log when it was closed. */
  result_event: result_said.nullable().default(null),
  set_aside: z.array(set_aside_file),
  files_failed: z.array(z.object({ path: z.string(), error: z.string() })),
  duration_ms: z.partialRecord(end_step, z.number().nonnegative()),
});
export type Ending = z.infer<typeof ending>;

/** The place of an agent that had to wait for room. It stays in its record when it runs. */
export const queue_ticket = z.object({
  /** Higher first. */
  priority: z.int(),
  /** Who came first, among equals. Counts through the whole workspace. */
  seq: z.int().nonnegative(),
  queued_at: z.string(),
  /** When its start began; null while it waits. What ends with null here never ran. */
  admitted_at: z.string().nullable(),
});

/** Cleanup runs beside the status, on its own small line. */
export const cleanup_state = z.enum(["none", "closing", "verifying", "removing", "done", "deferred"]);

/**
 * An agent as the registry keeps it. The first fields are those of the first generation of registries (an entry that has
 * nothing else still loads: it is `foreign`, started by another program); unknown fields survive a rewrite.
 */
export const agent_record = z.looseObject({
  /** Part of file names: an id that could lead out of a directory is none. */
  id: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^/\0]+$/),
  type: z.string().default("unknown"),
  tmux_session: z.string().nullable().default(null),
  parent: z.string().default("orchestrator"),
  depth: z.int().default(1),
  /** One of `agent_status` for our own agents; registries of other programs have other words. */
  status: z.string().default("running"),
  started_at: z.string().default(""),
  progress: z.number().default(0),
  last_update: z.string().default(""),
  prompt: z.string().default(""),
  tracked_files: tracked_files.default({}),

  ended_at: z.string().nullable().default(null),
  command: z.array(z.string()).default([]),
  /** The profile it was deployed with. */
  profile: z.string().nullable().default(null),
  cwd: z.string().default(""),
  mode: agent_mode.default("headless"),
  stdout: stdout_kind.default("pty"),
  grace_ms: z.int().nonnegative().default(5000),
  cleanup: cleanup_policy.default("archive"),
  cleanup_state: cleanup_state.default("none"),
  /** Random, in the environment of everything the agent starts: how its family is known. Null for a foreign agent. */
  cookie: z.string().nullable().default(null),
  host: host_ref.nullable().default(null),
  process: process_ref.nullable().default(null),
  /** Whether there is a pane to attach to: `lost` from the death of a tmux server until the agent has a pane on a new one; `unknown` with a host of protocol 1. */
  pane: z.enum(["open", "lost", "unknown"]).default("unknown"),
  exit: exit_status.nullable().default(null),
  ending: ending.nullable().default(null),
  receipt: receipt.nullable().default(null),
  message: z.string().default(""),
  /** What holds the agent's output up while it waits (a full disk: which file, and why), or null. */
  stalled: z.string().nullable().default(null),
  limits: limits.default(NO_LIMITS),
  log_limit: log_limit.default(NO_LOG_LIMIT),
  /** Null for an agent that was started at once. */
  queue: queue_ticket.nullable().default(null),
  /** The agent's control groups: first those that are planned, then those it was started in. */
  cgroups: z.array(cgroup_ref).default([]),
  containment: containment_mode.default("cookie"),
  /** What a reader must know of it that has no field: that its entry was rebuilt, say. They go into the receipt as well. */
  notes: z.array(z.string()).default([]),
});
type Parsed = z.infer<typeof agent_record>;
/** Its fields get other values; only an end that is under way is changed in its place. */
export type AgentRecord = { [Name in keyof Parsed]: Name extends "ending" ? Parsed[Name] : Kept<Parsed[Name]> };

/** True for an agent that waits, or waited to its end: nothing of it has run. */
export function never_admitted(agent: AgentRecord): boolean {
  return agent.queue !== null && agent.queue.admitted_at === null;
}

/** True for an entry that another program wrote: we have no host for it and its session is not on our tmux server. */
export function is_foreign(agent: AgentRecord): boolean {
  return agent.cookie === null;
}

/** The registry of one task, `AGENT_REGISTRY.json`. Agents are parsed one by one, so that one bad entry does not hide the others. */
export const registry_file = z.looseObject({
  task_id: z.string(),
  task_description: z.string().default(""),
  created_at: z.string().default(""),
  workspace: z.string().default(""),
  status: z.string().default("INITIALIZED"),
  priority: z.string().default("P2"),
  /** Absent in registries of the first generation. A higher number than ours is left alone. */
  registry_version: z.int().default(1),
  agents: z.array(z.unknown()).default([]),
});
export type RegistryFile = z.infer<typeof registry_file>;

/** The version of registry files that this supervisor writes. */
export const REGISTRY_VERSION = 1;
