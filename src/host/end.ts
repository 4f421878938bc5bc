/** The host's half of an end: stop, empty, drain, close. Afterwards the exit record is on disk, and only then is anybody told. */
import { end_family } from "../containment/end-family.ts";
import { count_oom_kills, end_notes, remove_groups } from "../containment/groups.ts";
import { monotonic_ms } from "../contract/monotonic.ts";
import type { ClosedReport } from "../contract/receipt.ts";
import type { EndCause } from "../contract/status.ts";
import { when_possible } from "../drivers/when-possible.ts";
import { crash_point } from "../faults/crash-point.ts";
import type { Agent } from "./agent.ts";
import { record_exit } from "./exit-record.ts";

export interface EndOptions {
  cause: EndCause;
  grace_ms: number;
  signal: NodeJS.Signals;
  hurry: AbortSignal;
  /** Told why it does not go on (no descriptor is free), and null when it does. */
  on_wait(reason: string | null): void;
  exclude: number[];
}

export interface Ended {
  report: ClosedReport;
  /** Set when the exit record could not be written yet: resolves when it is. */
  recorded_later: Promise<void> | null;
}

/** Ends the agent. Resolves with the report when every byte is in its file and every file is closed. */
export async function end_agent(agent: Agent, options: EndOptions): Promise<Ended> {
  const { spec, outputs } = agent;
  const patience = { on_wait: options.on_wait };
  // What it prints in its handlers is output like any other, and must not wait for room that nobody makes.
  agent.logs.lift_limit();
  const family = {
    leader: agent.process,
    birth: agent.birth,
    cookie: spec.cookie,
    exclude: options.exclude,
    cgroups: agent.cgroups.map((one) => one.path),
  };
  const ended = await end_family(family, { ...options, nudge: agent.exited, patience });
  crash_point("host.stopped");
  const leader_survives = ended.survivors.some((one) => one.pid === agent.process.pid);
  const exit = leader_survives ? { code: null, signal: null, at: null } : await agent.exited;
  const oom_kills = await when_possible(() => count_oom_kills(agent.cgroups), patience);
  const populated = await when_possible(() => remove_groups(agent.cgroups), patience);

  const draining = monotonic_ms();
  await Promise.all(outputs.map((one) => one.drain()));
  crash_point("host.drained");
  const closing = monotonic_ms();
  await Promise.all(outputs.map((one) => one.close()));
  agent.dispose();
  crash_point("host.closed");

  const report: ClosedReport = {
    agent_id: spec.agent_id,
    cause: options.cause,
    exit,
    signals: ended.signals,
    processes_ended: ended.processes_ended,
    survivors: ended.survivors,
    streams: outputs.map((one) => one.account),
    duration_ms: {
      stop: ended.stop_ms,
      empty: ended.empty_ms,
      drain: closing - draining,
      close: monotonic_ms() - closing,
    },
    notes: [
      ...agent.notes,
      ...outputs.flatMap((one) => one.notes),
      ...end_notes(ended.notes, oom_kills, spec.limits, populated),
    ],
    containment: agent.cgroups.length > 0 ? "cgroup" : "cookie",
    oom_kills,
    // What an output notes is that its drain did not come to its end.
    counted: outputs.every((one) => one.notes.length === 0),
  };
  const { note, later } = await record_exit(spec.exit_record, report);
  crash_point("host.exit_record_written");
  return { report: note ? { ...report, notes: [...report.notes, note] } : report, recorded_later: later };
}
