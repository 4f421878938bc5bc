/**
 * Takes an agent up whose host was found and is believed: the registry takes the host's facts, and the agent goes on where it is. When the daemon starts, and
 * when a connection to a host is made anew.
 */
import { COOKIE_VARIABLE } from "../containment/family.ts";
import { type AgentRecord, agent_record } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import type { HostFacts } from "../contract/host-protocol.ts";
import { session_name } from "../contract/ids.ts";
import { host_socket } from "../contract/paths.ts";
import { arguments_of, boot_id, read_process, was_started_with } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import { remove_leftovers } from "./ending/see-off.ts";
import type { HostLink } from "./host-link.ts";
import { begin_end, facts_to_remember, set_host_state, watch_host } from "./hosts.ts";
import { name_session } from "./name-session.ts";
import { measure_log } from "./segments.ts";
import type { Services } from "./services.ts";
import { doubt, uneven } from "./trust.ts";

const PROC = { process: read_process, arguments_of, was_started_with };

export const socket_of = (services: Services, agent: AgentRecord) =>
  agent.host?.socket ?? host_socket(services.runtime_dir, agent.id);

/** Why what a host says cannot be so, or null. */
export function doubts_of(services: Services, agent: AgentRecord, facts: HostFacts): string | null {
  const known = {
    id: agent.id,
    host: agent.host,
    process: agent.process,
    socket: socket_of(services, agent),
    cookie_entry: agent.cookie === null ? null : `${COOKIE_VARIABLE}=${agent.cookie}`,
  };
  return doubt(known, facts, PROC);
}

/** The host is believed: the registry takes its facts, and the agent goes on where it is. */
export async function take_up(services: Services, agent: AgentRecord, link: HostLink, facts: HostFacts): Promise<void> {
  services.hosts.set(agent.id, link);
  crash_point("reconcile.connected");
  set_host_state(services, agent, facts.phase === "launching" ? "starting" : "connected");
  await note_facts(services, agent, facts);
  crash_point("reconcile.host_recorded");
  watch_host(services, agent, link);
  void rename(services, agent);
  // An end that is under way asked for this host, and goes on by itself.
  if (services.ends.has(agent.id)) return;
  if (agent.ending) {
    tell_adopted(services, agent, facts);
    return begin_end(services, agent, agent.ending.cause, agent.ending.reason);
  }
  if (facts.phase === "waiting") {
    if (await back_to_queue(services, agent, facts.host)) return;
    // The daemon died between the session and the launch: nothing of the agent has run, and nothing will, once it was told to stop.
    return begin_end(services, agent, "deploy_failed", "the supervisor was restarted before the agent was launched");
  }
  if (facts.phase === "launching") {
    tell_adopted(services, agent, facts);
    // As in a deploy: that it was started is told when that is on record.
    services.events.hold(agent.id);
    const launching = see_launch(services, agent, link)
      .catch((error) =>
        services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a launch was not seen through"),
      )
      .finally(() => {
        services.events.let_go(agent.id);
        services.deploys.delete(agent.id);
        services.spares.fill();
      });
    services.deploys.set(agent.id, launching);
    return;
  }
  if (agent.status === "deploying") {
    await services.registry.advance(agent, { type: "launched" });
    crash_point("reconcile.launch_recorded");
  }
  // An end that the host has begun by itself is taken up when it reports.
  tell_adopted(services, agent, facts);
}

/** A daemon that died while it launched the agent may have left its session under another name. */
async function rename(services: Services, agent: AgentRecord): Promise<void> {
  if (agent.tmux_session === session_name(agent.id)) return;
  const name = await name_session(services, agent);
  if (name === agent.tmux_session || !services.registry.has(agent)) return;
  await services.registry
    .update(agent, { tmux_session: name })
    .catch((error) =>
      services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a session's new name was not recorded"),
    );
}

async function note_facts(services: Services, agent: AgentRecord, facts: HostFacts): Promise<void> {
  const host = { ...facts.host, socket: socket_of(services, agent), protocol: facts.protocol, boot_id: boot_id() };
  // Nobody runs without a host that was noted: the entry was rebuilt from files, which know less than the host.
  const rebuilt = agent.host === null && agent.status === "running";
  const from_host = rebuilt && facts.record ? remembered(agent, facts.record) : {};
  const news_of_agent = facts.process
    ? { ...facts_to_remember(facts), ...limit_of({ ...agent, ...from_host }, facts) }
    : {};
  agent.stalled = facts.stalled;
  const disagreement = uneven(facts, await bytes_on_disk(services, agent));
  if (disagreement !== null) {
    services.log.warn({ agent_id: agent.id }, disagreement);
    services.events.emit({ type: "warning", agent_id: agent.id, message: disagreement });
  }
  const news = disagreement !== null && !agent.notes.includes(disagreement);
  const changed = Object.entries({ host, ...news_of_agent }).some(
    ([field, value]) => JSON.stringify(agent[field]) !== JSON.stringify(value),
  );
  // A hundred agents that are just as they were are no reason to write.
  if (!changed && !news) return;
  await services.registry.update(agent, {
    ...from_host,
    host,
    ...news_of_agent,
    notes: news ? [...agent.notes, disagreement] : agent.notes,
  });
}

/** The host's limit is the truth, because it is the one that works: a daemon that died after it had told the host another one has not recorded it. */
const limit_of = ({ log_limit }: Pick<AgentRecord, "log_limit">, { log_max_bytes }: HostFacts) =>
  log_max_bytes === undefined ? {} : { log_limit: { ...log_limit, max_bytes: log_max_bytes } };

/** What the host remembers of the agent's entry, without what the registry knows better. */
function remembered(agent: AgentRecord, record: Record<string, unknown>): Partial<AgentRecord> {
  const { status, id, tracked_files } = agent;
  const parsed = agent_record.safeParse({ ...record, id, status, tracked_files });
  if (!parsed.success || parsed.data.cookie !== agent.cookie) return {};
  const { status: _status, id: _id, ...rest } = parsed.data;
  return rest;
}

/** What the agent's logs have, or null when one cannot be looked at. A log that is not there has nothing. */
async function bytes_on_disk(services: Services, agent: AgentRecord): Promise<number | null> {
  let sum = 0;
  for (const role of ["log_file", "terminal_log"]) {
    if (agent.tracked_files[role] === undefined) continue;
    const log = await measure_log(services, agent, role).catch(
      () => null /* not to be looked at: nothing can be compared */,
    );
    // Set aside by an end that was half done it is somewhere else, and whole.
    if (!log && agent.ending) return null;
    sum += log?.bytes ?? 0;
  }
  return sum;
}

/** A launch that an earlier daemon asked for is under way: its outcome decides. */
async function see_launch(services: Services, agent: AgentRecord, link: HostLink): Promise<void> {
  const outcome = await Promise.race([link.launch, link.gone]);
  // A host that is gone is looked for by whoever watches it.
  if (!outcome || services.ends.has(agent.id)) return;
  if ("failed" in outcome)
    return begin_end(services, agent, "deploy_failed", `it could not be launched: ${outcome.failed}`);
  // The whole of the facts, and believed like any others.
  const facts = await link.hello();
  const doubts = doubts_of(services, agent, facts);
  if (doubts !== null) {
    set_host_state(services, agent, "mistrusted", doubts);
    return link.close();
  }
  set_host_state(services, agent, "connected");
  await services.registry.advance(agent, { type: "launched" }, facts_to_remember(facts));
}

/** What an agent does on, by its host's phase. Of one that never ran, or has ended already, nothing is taken up but its end. */
const GOES_ON: Partial<Record<HostFacts["phase"], string>> = {
  launching: "it is being launched",
  running: "it runs on",
  ending: "its end goes on",
};

/** Before anything that its host says of it is told. */
function tell_adopted({ events }: Services, agent: AgentRecord, { phase }: HostFacts): void {
  const goes_on = GOES_ON[phase];
  if (goes_on)
    events.emit({
      type: "agent_adopted",
      agent_id: agent.id,
      message: `the supervisor took the agent up again; ${goes_on}`,
    });
}

/** An agent from the queue that was not launched goes back there, when that can be told for certain. */
export async function back_to_queue(
  services: Services,
  agent: AgentRecord,
  host: HostFacts["host"] | null,
): Promise<boolean> {
  const link = services.hosts.get(agent.id);
  services.hosts.delete(agent.id);
  if (await services.queue.take_back(agent, host)) {
    await remove_leftovers(services, agent);
    return true;
  }
  if (link) services.hosts.set(agent.id, link);
  return false;
}
