import { z } from "zod";
import { agent_mode, stdout_kind } from "./agent.ts";
import { cgroup_ref, limits } from "./containment.ts";
import type { Kept } from "./kept.ts";
import { log_limit, log_max_bytes } from "./log-limit.ts";
import { cleanup_policy, closed_report, process_ref } from "./receipt.ts";
import { end_cause } from "./status.ts";

/**
 * What the daemon and an agent host say to each other: one JSON object a line over the host's control socket.
 * The daemon sends requests, each with an `id`; the host answers each with that `id`, and sends events without one.
 * The host imports these as types only, so that zod is not loaded once per agent.
 */

/** Everything a host must know in order to run its agent. Travels over the socket, because `env` holds secrets. */
export const launch_spec = z.object({
  agent_id: z.string(),
  task_id: z.string(),
  command: z.array(z.string()).min(1),
  cwd: z.string(),
  env: z.record(z.string(), z.string()),
  mode: agent_mode,
  stdout: stdout_kind,
  cookie: z.string(),
  prompt_file: z.string(),
  log_file: z.string(),
  /** The terminal's own stream, when stdout has a pipe. */
  terminal_log: z.string().nullable(),
  /** Where the host leaves its exit record. */
  exit_record: z.string(),
  grace_ms: z.int().nonnegative(),
  /** How an end that the host begins by itself treats the files; kept here so that a lost registry can be rebuilt. */
  cleanup: cleanup_policy,
  /** The control groups to make for the agent and to start it in. Absent in specs of older daemons. */
  cgroups: z.array(cgroup_ref).optional(),
  limits: limits.optional(),
  /** Absent in specs of older daemons: no limit. */
  log_limit: log_limit.optional(),
  /** The agent's registry entry as it is at the launch; it has no environment. The host only keeps it, for a daemon whose registry was lost. */
  record: z.record(z.string(), z.unknown()),
});
export type LaunchSpec = Kept<z.infer<typeof launch_spec>>;

/**
 * Where a host is in its one life. `launching`: it was told to launch and is at it, so that a daemon which comes in between knows
 * that something may run; `launched` or `launch_failed` follows. A host that was told to stop before a launch takes none any more.
 */
export const host_phase = z.enum(["waiting", "launching", "running", "ending", "closed"]);
export type HostPhase = z.infer<typeof host_phase>;

/** A host's view: `open` on a pane, or `lost` with a tmux server that died. */
export const pane_state = z.enum(["open", "lost"]);
export type PaneState = z.infer<typeof pane_state>;

/** A new pane for a host whose tmux server died. Since protocol 2. */
export const pane_request = z.object({
  type: z.literal("pane"),
  id: z.int(),
  /** The pane's terminal, `/dev/pts/N`. */
  tty: z.string(),
  /** A named pipe that the host holds open for as long as it lives: its end tells the placeholder in the pane to go. */
  life: z.string(),
  /** A named pipe in which the placeholder says `ROWS COLUMNS`, at first and after each change. */
  sizes: z.string(),
  /** The tmux server that has the pane. */
  server: process_ref,
});
export type PaneRequest = z.infer<typeof pane_request>;

/** A host's answer to `hello`: the facts, so that a daemon that knows nothing can adopt it. */
export const host_facts = z.object({
  protocol: z.int(),
  agent_id: z.string(),
  phase: host_phase,
  host: process_ref,
  process: process_ref.nullable(),
  bytes_read: z.int().nonnegative(),
  bytes_written: z.int().nonnegative(),
  closed: closed_report.nullable(),
  /** What holds the agent's output up, if anything: a full disk, say. */
  stalled: z.string().nullable(),
  /** Whether the agent can be looked at; absent for a host of protocol 1, which cannot be given another pane. */
  pane: pane_state.optional(),
  /** The tmux server that the host was started by, or that has its pane now; null when it was gone already. */
  tmux_server: process_ref.nullable().optional(),
  /** The control groups in which the agent was started: those that could be made and joined. */
  cgroups: z.array(cgroup_ref).default([]),
  /** The `record` of the launch; null before it, and from hosts of protocol 1. */
  record: z.record(z.string(), z.unknown()).nullable().default(null),
  /** The limit of each of its logs while the agent runs, in bytes; null for none. Absent before and after, and from hosts that do not tell it. */
  log_max_bytes: log_max_bytes.nullable().optional(),
});
export type HostFacts = z.infer<typeof host_facts>;

export const host_request = z.discriminatedUnion("type", [
  z.object({ type: z.literal("hello"), id: z.int(), protocol: z.int() }),
  /** To a spare host, from the daemon that started it and no other: whose host it is from now on, and whether the agent is to join control groups. */
  z.object({
    type: z.literal("become"),
    id: z.int(),
    agent_id: z.string(),
    socket: z.string(),
    groups: z.boolean(),
  }),
  /** To a spare host, likewise: a deploy was asked for, whose agent will join control groups. */
  z.object({ type: z.literal("prepare"), id: z.int() }),
  z.object({ type: z.literal("launch"), id: z.int(), spec: launch_spec }),
  z.object({
    type: z.literal("stop"),
    id: z.int(),
    cause: end_cause,
    signal: z.string(),
    grace_ms: z.int().nonnegative(),
  }),
  z.object({ type: z.literal("input"), id: z.int(), data: z.string() }),
  z.object({ type: z.literal("release"), id: z.int() }),
  /** Another limit for every log. Hosts that do not know it say so. */
  z.object({ type: z.literal("log_limit"), id: z.int(), max_bytes: log_max_bytes.nullable() }),
  pane_request,
]);
export type HostRequest = z.infer<typeof host_request>;

/** A host's answer to a request, or an event of its own (`id` absent). Events of unknown names are from a newer host, and ignored. */
export const host_message = z.union([
  z.object({ id: z.int(), ok: z.literal(true), result: z.unknown() }),
  z.object({ id: z.int(), ok: z.literal(false), code: z.string(), message: z.string() }),
  z.object({ event: z.literal("launched"), process: process_ref }),
  z.object({ event: z.literal("launch_failed"), reason: z.string() }),
  z.object({ event: z.literal("exited"), code: z.int().nullable(), signal: z.string().nullable(), at: z.string() }),
  z.object({ event: z.literal("ending"), cause: end_cause }),
  /** A full part of the log of this role got this number. */
  z.object({ event: z.literal("rotated"), role: z.string(), number: z.int().positive() }),
  z.object({ event: z.literal("stalled"), reason: z.string().nullable() }),
  /** Since protocol 2. */
  z.object({ event: z.literal("pane"), state: pane_state }),
  z.object({ event: z.literal("closed"), report: closed_report }),
]);
export type HostMessage = z.infer<typeof host_message>;
export type HostEvent = Extract<HostMessage, { event: string }>;
