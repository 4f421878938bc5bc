import { z } from "zod";
import { containment_mode } from "./containment.ts";
import type { Kept } from "./kept.ts";
import { agent_status, end_cause } from "./status.ts";

/** A process, told apart from a later one with the same pid by its start time (clock ticks since boot, proc_pid_stat(5) field 22). */
export const process_ref = z.object({ pid: z.int().positive(), start_time: z.int().nonnegative() });
export type ProcessRef = z.infer<typeof process_ref>;

/** A process of an agent as a receipt names it. `command` is the kernel's short name (comm), never argv: argv may hold secrets. */
export const named_process = process_ref.extend({ command: z.string() });
export type NamedProcess = z.infer<typeof named_process>;

/** Somebody who holds a file open. `whose`: the agent's own family, the supervisor itself, or anybody else. */
export const holder = z.object({
  pid: z.int(),
  command: z.string(),
  user: z.string(),
  fd: z.string(),
  access: z.enum(["read", "write", "read_write", "unknown"]),
  path: z.string(),
  whose: z.enum(["agent", "supervisor", "other"]),
});
export type Holder = z.infer<typeof holder>;

/** What lsof says of a file. `unknown` means that it could not be asked, or that its answer cannot be trusted: never "gone". */
export const verdict = z.enum(["clear", "held", "unknown"]);
export type Verdict = z.infer<typeof verdict>;

/** What happens to an agent's files at its end. */
export const cleanup_policy = z.enum(["delete", "archive", "keep"]);
export type CleanupPolicy = z.infer<typeof cleanup_policy>;

/** The eight steps of an end, in order. The first four are the host's, the others the daemon's. */
export const end_step = z.enum(["stop", "empty", "drain", "close", "set_aside", "verify", "remove", "receipt"]);
export type EndStep = z.infer<typeof end_step>;

/** How the agent's own process ended. Both are null when nobody saw it end. */
export const exit_status = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  at: z.string().nullable(),
});

/** One stream of the agent: what was read from it and what is in its file. Equal, or the receipt says why not. */
export const stream_account = z.object({
  name: z.string(),
  path: z.string(),
  bytes_read: z.int().nonnegative(),
  bytes_written: z.int().nonnegative(),
  /** Full parts that were rotated away; what they have is counted in `bytes_written`. */
  segments: z.int().nonnegative().default(0),
});
export type StreamAccount = z.infer<typeof stream_account>;

/** A signal that was sent in order to end the agent, and to which processes. */
export const sent_signal = z.object({ signal: z.string(), at: z.string(), pids: z.array(z.int()) });
export type SentSignal = z.infer<typeof sent_signal>;

/** What the host says when it has closed everything; also the content of the exit record it leaves on disk. */
export const closed_report = z.object({
  agent_id: z.string(),
  /** What the host took as the cause, when it was not told one. */
  cause: end_cause,
  exit: exit_status,
  signals: z.array(sent_signal),
  processes_ended: z.array(named_process),
  survivors: z.array(named_process),
  streams: z.array(stream_account),
  duration_ms: z.partialRecord(end_step, z.number().nonnegative()),
  notes: z.array(z.string()),
  /** How the agent's processes were kept together. */
  containment: containment_mode.default("cookie"),
  /** Processes of the agent that the kernel killed because it was out of memory. */
  oom_kills: z.int().nonnegative().default(0),
  /** False when nobody can say that all was read: the host was gone, or a drain was given up. `streams` then have what is in the files. */
  counted: z.boolean().default(true),
});
export type ClosedReport = z.infer<typeof closed_report>;

/** A file that stays in trash: somebody holds it, nobody could tell, or it is free (`clear`) but could not be removed or archived yet. */
export const deferred_file = z.object({
  path: z.string(),
  trash_path: z.string(),
  verdict,
  holders: z.array(holder),
  /** Why the verdict is unknown, or why the removal did not work; null when the holders are the reason. */
  reason: z.string().nullable().default(null),
});

/** What became of the agent's processes and files: the `cleanup` object of a kill's answer. */
export const cleanup_report = z.object({
  files_deleted: z.array(z.string()),
  files_archived: z.array(z.string()),
  files_kept: z.array(z.string()),
  files_deferred: z.array(deferred_file),
  files_failed: z.array(z.object({ path: z.string(), error: z.string() })),
  bytes_freed: z.int().nonnegative(),
  bytes_logged: z.int().nonnegative(),
  bytes_read: z.int().nonnegative(),
  /** True when the host counted what it read, to the end, and all of it is in the files. False: bytes may be missing, and nobody knows how many. */
  bytes_accounted: z.boolean().default(true),
  handles: verdict,
  processes_ended: z.array(named_process),
  survivors: z.array(named_process),
  duration_ms: z.partialRecord(z.enum([...end_step.options, "total"]), z.number().nonnegative()),
});
export type CleanupReport = z.infer<typeof cleanup_report>;

/** What somebody says of the agent's work. */
const work = z.enum(["completed", "failed"]);

/**
 * What the last result event in the agent's stream said. `event`: the condition of the profile that it fits, and nothing the agent
 * printed. `declared`: by the agent's own profile; otherwise it was told by its looks and is only noted.
 */
export const result_said = z.object({
  status: work,
  event: z.record(z.string(), z.unknown()),
  declared: z.boolean(),
});
export type ResultSaid = z.infer<typeof result_said>;

/** Who said what of the agent's work, and whose word became the status. */
export const outcome = z.object({
  /** Its exit code; null where nobody saw it, or the agent was sent a signal. */
  exit: work.nullable(),
  /** Its own report of progress that began the end. */
  report: work.nullable(),
  result_event: result_said.nullable(),
  /** `cause`: it was killed or lost, whatever the others say. */
  decided_by: z.enum(["exit", "report", "result_event", "cause"]),
  /** Nobody contradicts another. */
  agrees: z.boolean(),
});
export type Outcome = z.infer<typeof outcome>;

/** The proof of an end. Its first seven fields are the answer that the seed's `kill_real_agent` gave. */
export const receipt = z.object({
  /** Nobody survived, every file was handled or waits for its holder, and every byte is accounted for (`bytes_accounted`; not asked of a foreign agent). */
  success: z.boolean(),
  agent_id: z.string(),
  tmux_session: z.string().nullable(),
  session_killed: z.boolean(),
  reason: z.string(),
  status: agent_status,
  cleanup: cleanup_report,
  cause: end_cause,
  exit: exit_status,
  /** Null in receipts that were written before there was one. */
  outcome: outcome.nullable().default(null),
  signals: z.array(sent_signal),
  ended_at: z.string(),
  /** Set when a deferred file was dealt with after the receipt was written. */
  amended_at: z.string().nullable(),
  /** Anything a reader must know that has no field: a byte count that does not add up, a host that was gone. */
  notes: z.array(z.string()),
  containment: containment_mode.default("cookie"),
  oom_kills: z.int().nonnegative().default(0),
});
export type Receipt = Kept<z.infer<typeof receipt>>;
