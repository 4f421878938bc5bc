/** An end without a host: the daemon ends the agent's processes itself, and reports what the files and the kernel tell. */
import { end_family } from "../../containment/end-family.ts";
import { count_oom_kills, end_notes, remove_groups } from "../../containment/groups.ts";
import { possible_groups } from "../../containment/place.ts";
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import type { ClosedReport, StreamAccount } from "../../contract/receipt.ts";
import { boot_id, is_alive } from "../../drivers/procfs.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { end_start } from "../admission/end-start.ts";
import { measure_log, undo_half_rotations } from "../segments.ts";
import type { Services } from "../services.ts";

/** The host is gone without a word: the agent's processes are found and ended from here. What they had not yet handed over is lost with it. */
export async function by_ourselves(services: Services, agent: AgentRecord, ending: Ending): Promise<ClosedReport> {
  // The host is on record before it is told to launch.
  const never_ran = !agent.host;
  // It may be there all the same, and hang. When tmux does not answer, its session is ended later, and it leaves with that or at its own deadline.
  if (never_ran) await end_start(services.tmux, agent, null);
  const note = "the host was gone: the log holds what it had written; what was still in the terminal is not known";
  const groups = possible_groups(services.containment, agent);
  if (agent.host && agent.host.boot_id !== boot_id()) {
    remove_groups(groups);
    return nobody_saw(services, agent, ending, `the machine was restarted; the agent went with it; ${note}`);
  }
  const exclude = [
    process.pid,
    ...[...services.registry.agents()].flatMap((one) => (one.host && is_alive(one.host) ? [one.host.pid] : [])),
  ];
  const cgroups = groups.map((one) => one.path);
  const hurry = services.ends.get(agent.id)?.hurry;
  const ended = await end_family(
    { leader: agent.process, cookie: agent.cookie as string, exclude, cgroups },
    { signal: "SIGTERM", grace_ms: ending.grace_ms, ...(hurry ? { hurry } : {}) },
  );
  const oom_kills = count_oom_kills(groups);
  const notes = end_notes(ended.notes, oom_kills, agent.limits, remove_groups(groups));
  crash_point("end.family_ended");
  // The log is measured when nobody can write to it any more.
  const report = await nobody_saw(services, agent, ending, never_ran ? "the agent was never launched" : note);
  return {
    ...report,
    counted: never_ran,
    signals: ended.signals,
    processes_ended: ended.processes_ended,
    survivors: ended.survivors,
    duration_ms: { stop: ended.stop_ms, empty: ended.empty_ms },
    notes: [...report.notes, ...notes],
    oom_kills,
  };
}

/** The report that has to do when no host gave one: the streams are as long as their files. */
export async function nobody_saw(
  services: Services,
  agent: AgentRecord,
  ending: Ending,
  note: string,
): Promise<ClosedReport> {
  await undo_half_rotations(services, agent);
  return {
    agent_id: agent.id,
    cause: ending.cause,
    exit: agent.exit ?? { code: null, signal: null, at: null },
    signals: [],
    processes_ended: [],
    survivors: [],
    streams: (await Promise.all(["log_file", "terminal_log"].map((role) => measured(services, agent, role)))).flat(),
    duration_ms: {},
    notes: [note],
    containment: agent.containment,
    oom_kills: 0,
    counted: false,
  };
}

/** A log's account by its size, if there is such a log. What was read is at least what is there. */
async function measured(services: Services, agent: AgentRecord, role: string): Promise<StreamAccount[]> {
  const path = agent.tracked_files[role];
  if (!path) return [];
  const log = await measure_log(services, agent, role);
  return log ? [{ name: role, path, bytes_read: log.bytes, bytes_written: log.bytes, segments: log.segments }] : [];
}
