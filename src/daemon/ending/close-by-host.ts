/**
 * An end by the agent's host, which stops, empties, drains and closes, and reports. A host that is stopped is continued; one that cannot be spoken with is
 * told by a signal; one that does not answer even then is killed, and the daemon ends the agent's processes itself.
 */
import { setTimeout as delay } from "node:timers/promises";
import { signal_process } from "../../containment/end-family.ts";
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import { ignore_abort, message_of } from "../../contract/errors.ts";
import { exit_record_path } from "../../contract/paths.ts";
import type { ClosedReport } from "../../contract/receipt.ts";
import { boot_id, is_alive, read_process } from "../../drivers/procfs.ts";
import { end_host } from "../end-host.ts";
import { read_exit_record } from "../exit-record.ts";
import type { HostLink } from "../host-link.ts";
import type { Services } from "../services.ts";
import { wait_to_leave } from "./leave.ts";

/** How often a host that is ending its agent is asked whether it still answers, in ms. A full disk may keep it busy for hours. */
const ALIVE_CHECK_MS = 15_000;
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

/** Null when the host is gone or had to be killed. A connection that ends is not a host that ended: as long as it lives, it is asked. */
export async function by_living_host(
  services: Services,
  agent: AgentRecord,
  ending: Ending,
): Promise<ClosedReport | null> {
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
        delay(ALIVE_CHECK_MS, "ask" as const, { signal: timer.signal }).catch(ignore_abort),
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
