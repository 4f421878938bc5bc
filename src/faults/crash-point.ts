/**
 * Crash points: places between a recorded step and its side effect where a process can be made to die, so that a test can show what
 * a death there leaves. Without `SUPERVISOR_CRASH_AT` (read in `config`) nothing is armed and a point does nothing. Used by the
 * daemon and by the host, each for its own points; docs/faults.md says how.
 */
import { writeFileSync } from "node:fs";

/** Every point there is, in the order in which an agent's life passes them. A test holds the list against the sources, both ways. */
export const CRASH_POINTS = [
  // The daemon, when it starts
  "start.swept",
  "reconcile.host_taken_in",
  "reconcile.connected",
  "reconcile.host_recorded",
  "reconcile.launch_recorded",
  "reconcile.exit_record_found",
  // The daemon, a deploy
  "task.folders_made",
  "deploy.registered",
  "deploy.prompt_written",
  "deploy.log_written",
  "deploy.files_written",
  "deploy.session_started",
  "deploy.host_ready",
  "deploy.host_recorded",
  "deploy.launch_asked",
  "deploy.launched",
  "deploy.running_recorded",
  "deploy.link_closed",
  "deploy.session_removed",
  "deploy.files_removed",
  "deploy.entry_removed",
  // The daemon, a spare host
  "spare.started",
  "spare.ready",
  "spare.taken",
  "spare.became",
  "spare.renamed",
  "spare.dismissed",
  // The daemon, an agent that waits
  "queue.held",
  "queue.admitted",
  "queue.let_go",
  "queue.host_ended",
  "queue.requeued",
  // The daemon, while an agent runs
  "rotation.recorded",
  "limit.host_told",
  "pane.pipes_made",
  "pane.placeholder_started",
  "pane.moved",
  // The daemon, an end
  "end.begun",
  "end.family_ended",
  "end.rotation_undone",
  "end.reported",
  "end.report_recorded",
  "end.host_left",
  "end.session_ended",
  "end.exit_record_removed",
  "end.file_moved",
  "end.set_aside",
  "end.verified",
  "end.file_copied",
  "end.file_archived",
  "end.file_removed",
  "end.removed",
  "end.receipt_recorded",
  "leave.journaled",
  "leave.recorded",
  // The daemon, a sweep
  "sweep.removed",
  "sweep.receipt_amended",
  "sweep.archive_half_removed",
  "journal.appended",
  "journal.copied",
  "journal.renamed",
  // The host
  "host.listening",
  "host.became",
  "host.launch_received",
  "host.log_opened",
  "host.program_started",
  "host.running",
  "host.part_recorded",
  "host.part_named",
  "host.part_begun",
  "host.part_replaced",
  "host.ending",
  "host.stopped",
  "host.drained",
  "host.closed",
  "host.exit_record_written",
  "host.reported",
  "host.released",
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Where to die, and the file that is written just before, so that a test knows that the point was reached. */
export interface Crash {
  at: CrashPoint;
  mark: string;
}

let armed: Crash | null = null;

/** Arms one point of this process, or none. */
export function arm(crash: Crash | null): void {
  armed = crash;
}

/** The point that is armed, for handing it on to a host. */
export const armed_crash = () => armed;

/** Dies here, at once, if this point is armed: SIGKILL, as from outside. */
export function crash_point(name: CrashPoint): void {
  if (armed?.at !== name) return;
  writeFileSync(armed.mark, name);
  process.kill(process.pid, "SIGKILL");
}

/** `NAME:FILE`, as SUPERVISOR_CRASH_AT has it; null when there is no such point. */
export function parse_crash(text: string): Crash | null {
  const colon = text.indexOf(":");
  const at = CRASH_POINTS.find((name) => name === text.slice(0, colon));
  return at && colon > 0 ? { at, mark: text.slice(colon + 1) } : null;
}
