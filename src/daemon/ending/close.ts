/**
 * The first half of an end, as the daemon sees it: the host stops, empties, drains and closes, and reports. A host that is
 * stopped is continued; one that does not answer even then is killed, and the daemon ends the agent's processes itself.
 */
import { lstatSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { end_family, signal_process } from "../../containment/end-family.ts";
import { count_oom_kills, end_notes, remove_groups } from "../../containment/groups.ts";
import { possible_groups } from "../../containment/place.ts";
import { type AgentRecord, type Ending, is_foreign, never_admitted } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { NEVER_RAN } from "../../contract/never-ran.ts";
import {
  exit_record_path,
  host_socket,
  host_stderr,
  is_runtime_dir,
  parts_record_path,
  placeholder_pipes,
} from "../../contract/paths.ts";
import type { ClosedReport, StreamAccount } from "../../contract/receipt.ts";
import { is_out_of_place, remove_some_in_place } from "../../drivers/in-place.ts";
import { boot_id, is_alive, read_process } from "../../drivers/procfs.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { end_start } from "../admission/end-start.ts";
import { end_host } from "../end-host.ts";
import { read_exit_record } from "../exit-record.ts";
import type { HostLink } from "../host-link.ts";
import { measure_log, track_segments, undo_half_rotations } from "../segments.ts";
import type { Services } from "../services.ts";
import { end_session_later } from "./later.ts";
import { wait_to_leave } from "./leave.ts";
import { find_result } from "./outcome.ts";

/** How often a host that is ending its agent is asked whether it still answers, in ms. A full disk may keep it busy for hours. */
const ALIVE_CHECK_MS = 15_000;
/** How long a host may take to leave after it was released, in ms, before it is killed: it has closed everything by then. */
const LEAVE_DEADLINE_MS = 3_000;

/** How long a host that was continued may take to be found again, in ms: it answers in milliseconds, and the search looks every few seconds. */
const REACH_MS = 5_000;
/** How long a host that was told by a signal may take after its agent's grace, in ms: KILL_DEADLINE_MS of the family, the drain's give-up, and its own leave. */
const LEAVE_BY_SIGNAL_MS = 30_000;
/**
 * How long a host that accepts and answers nothing may go on so after it was continued and told to end, in ms, before it is killed: as long as one that is
 * connected is waited for then (REQUEST_DEADLINE_MS of the link). A signal is handled where a question is, so that it has not seen the one either.
 */
const DEAF_MS = 10_000;
/** How often is looked whether it has left: nobody tells of the death of another's child. In ms. */
const LOOK_MS = 20;

/**
 * Fills `ending.closed`, once, and sees host and session off. `record_report` makes the report durable. Run again it asks for no second report, and
 * removes what is left.
 */
export async function close_agent(
  services: Services,
  agent: AgentRecord,
  ending: Ending,
  record_report: () => Promise<void>,
): Promise<void> {
  const record = exit_record_path(services.registry.task_of(agent).dir, agent.id);
  if (is_foreign(agent)) {
    ending.closed = await nobody_saw(
      services,
      agent,
      ending,
      "this agent was started by another program; its tmux session, if there is one, was not touched",
    );
  } else if (never_admitted(agent)) {
    const report = await nobody_saw(services, agent, ending, NEVER_RAN);
    ending.closed ??= { ...report, counted: true };
    await services.queue.let_go(agent);
  } else {
    ending.closed ??=
      (await by_living_host(services, agent, ending)) ??
      (await read_exit_record(record, agent.id)) ??
      (await by_ourselves(services, agent, ending));
    crash_point("end.reported");
  }
  agent.exit = ending.closed.exit;
  // On disk with the report, before a file is moved.
  await track_segments(services, agent);
  // While the log is in its place, and on disk together with the report: set aside, it would not be looked at again.
  ending.result_event ??= await find_result(services, agent, ending);
  // The report is on disk here before the host forgets it.
  await record_report();
  if (!is_foreign(agent) && !never_admitted(agent)) {
    crash_point("end.report_recorded");
    const { notes } = ending.closed;
    await Promise.all([
      release(services, agent, services.hosts.get(agent.id)).then(() => crash_point("end.host_left")),
      end_session(services, agent, notes).then((killed) => {
        ending.session_killed = killed;
        crash_point("end.session_ended");
      }),
    ]);
    await remove_leftovers(services, agent);
  }
  const names = [record, `${record}.new`, parts_record_path(record)].map((path) => basename(path));
  await remove_some_in_place(dirname(record), names).catch((error) => {
    if (!is_out_of_place(error)) throw error;
    services.log.warn({ agent_id: agent.id, error: message_of(error) }, "an exit record was left alone");
  });
  crash_point("end.exit_record_removed");
}

/** Null when the host is gone or had to be killed. A connection that ends is not a host that ended: as long as it lives, it is asked. */
async function by_living_host(services: Services, agent: AgentRecord, ending: Ending): Promise<ClosedReport | null> {
  const lives = () => agent.host !== null && agent.host.boot_id === boot_id() && is_alive(agent.host);
  for (let tries = 0; tries < 2; tries++) {
    if (!services.hosts.has(agent.id) && lives()) await reach(services, agent);
    const link = services.hosts.get(agent.id);
    if (!link) break;
    const report = await by_host(services, agent, ending, link);
    if (report) return report;
  }
  return lives() ? by_signal(services, agent) : null;
}

/** A host that is not connected although it lives may be stopped: it is continued, and the search for it is given a moment. */
async function reach(services: Services, agent: AgentRecord): Promise<void> {
  if (agent.host) signal_process(agent.host, "SIGCONT");
  await Promise.race([services.find_host(agent), delay(REACH_MS, undefined, { ref: false })]);
}

/**
 * For a host that lives but cannot be spoken with: another version, or its socket was removed. Every version ends its agent on TERM, with
 * the agent's own grace, and leaves an exit record. Null when it did not leave in time. One that hangs is killed: the search for it goes on meanwhile, and
 * would have its answer as soon as it went on.
 */
async function by_signal(services: Services, agent: AgentRecord): Promise<ClosedReport | null> {
  const { host } = agent;
  if (!host || !signal_process(host, "SIGTERM")) return null;
  const told = performance.now();
  const hangs = () =>
    services.host_states.get(agent.id)?.state === "unresponsive" && performance.now() - told > DEAF_MS;
  while (is_alive(host) && performance.now() - told < agent.grace_ms + LEAVE_BY_SIGNAL_MS && !hangs())
    await delay(LOOK_MS);
  if (is_alive(host) && hangs()) {
    services.log.error(
      { agent_id: agent.id },
      "the host hangs: it does not answer after it was continued and told to end; it is killed",
    );
    await end_host(host);
  }
  return read_exit_record(exit_record_path(services.registry.task_of(agent).dir, agent.id), agent.id);
}

/** Null when the host is gone or had to be killed. */
async function by_host(
  services: Services,
  agent: AgentRecord,
  ending: Ending,
  link: HostLink,
): Promise<ClosedReport | null> {
  const gone = link.gone.then(() => null);
  // A host in tmux's own pane is continued by tmux; one whose tmux server died is not, and would cost its deadline first.
  if (agent.host && read_process(agent.host.pid)?.state === "T") signal_process(agent.host, "SIGCONT");
  const ask = () => link.request({ type: "stop", cause: ending.cause, signal: "SIGTERM", grace_ms: ending.grace_ms });
  await wait_to_leave(link, ending);
  try {
    await ask();
    for (;;) {
      const timer = new AbortController();
      const report = await Promise.race([
        link.closed,
        gone,
        delay(ALIVE_CHECK_MS, "ask" as const, { signal: timer.signal }).catch(() => null),
      ]);
      timer.abort();
      if (report !== "ask") return report;
      await link.hello();
    }
  } catch (error) {
    services.log.warn(
      { agent_id: agent.id, error: message_of(error) },
      "the host does not answer; it is continued, in case it was stopped",
    );
  }
  if (agent.host && signal_process(agent.host, "SIGCONT")) {
    try {
      await ask();
      return await Promise.race([link.closed, gone]);
    } catch (error) {
      services.log.error(
        { agent_id: agent.id, error: message_of(error) },
        "the host does not answer after it was continued; it is killed",
      );
      signal_process(agent.host, "SIGKILL");
      await gone;
    }
  }
  return null;
}

/** The host is gone without a word: the agent's processes are found and ended from here. What they had not yet handed over is lost with it. */
async function by_ourselves(services: Services, agent: AgentRecord, ending: Ending): Promise<ClosedReport> {
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
  const ended = await end_family(
    { leader: agent.process, cookie: agent.cookie as string, exclude, cgroups },
    { signal: "SIGTERM", grace_ms: ending.grace_ms },
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
async function nobody_saw(services: Services, agent: AgentRecord, ending: Ending, note: string): Promise<ClosedReport> {
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

async function release(services: Services, agent: AgentRecord, link: HostLink | undefined): Promise<void> {
  const { host } = agent;
  if (link) {
    await link
      .request({ type: "release" }, LEAVE_DEADLINE_MS)
      .catch((error) =>
        services.log.debug({ agent_id: agent.id, error: message_of(error) }, "the host left before it was released"),
      );
    await Promise.race([link.gone, delay(LEAVE_DEADLINE_MS, undefined, { ref: false })]);
    link.close();
    services.hosts.delete(agent.id);
  }
  if (host && host.boot_id === boot_id()) {
    const deadline = performance.now() + LEAVE_DEADLINE_MS;
    while (is_alive(host) && performance.now() < deadline) await delay(2);
    if (is_alive(host)) signal_process(host, "SIGKILL");
  }
}

/** Removes what a host leaves in the runtime directory when it, or the daemon that started it, was killed. After its session: a host may just be booting. */
export async function remove_leftovers(services: Services, agent: AgentRecord): Promise<void> {
  const { host } = agent;
  const recorded = host && is_runtime_dir(dirname(host.socket), process.getuid?.() ?? 0) ? host.socket : null;
  const socket = recorded ?? host_socket(services.runtime_dir, agent.id);
  const { life, sizes } = placeholder_pipes(services.runtime_dir, agent.id);
  const stderr = host_stderr(services.runtime_dir, agent.id);
  const leftovers = [socket, `${socket}.new`, `${socket}.out`, stderr, life, sizes];
  // The directory of the sockets is in memory or on a local disk. Mostly nothing is left in it.
  const left = leftovers.filter((path) => lstatSync(path, { throwIfNoEntry: false }));
  await Promise.all(left.map((path) => rm(path, { force: true })));
}

/** True when the session is known to be gone. When tmux does not answer it is ended later, and the receipt says so. */
async function end_session(services: Services, agent: AgentRecord, notes: string[]): Promise<boolean> {
  await services.panes.settled(agent.id);
  if (await services.panes.end(agent.tmux_session as string)) return true;
  notes.push(`tmux did not answer; the session ${agent.tmux_session} is ended when it does`);
  end_session_later(services, agent);
  return false;
}
