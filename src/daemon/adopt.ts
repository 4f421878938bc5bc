/**
 * Finds an agent's host and takes the agent up: when the daemon starts, and when the connection to a host ends. A host that accepts
 * but does not answer, that lies, or that cannot be reached although it lives, is tried again and again, in the background, and
 * nothing of its agent is touched meanwhile. Only /proc says that a host is gone.
 */
import { setTimeout as delay } from "node:timers/promises";
import { COOKIE_VARIABLE } from "../containment/family.ts";
import { type AgentRecord, agent_record } from "../contract/agent.ts";
import { is_errno, is_used_up, message_of, SupervisorError, trouble } from "../contract/errors.ts";
import type { HostFacts } from "../contract/host-protocol.ts";
import type { HostState } from "../contract/host-state.ts";
import { session_name } from "../contract/ids.ts";
import { exit_record_path, host_socket } from "../contract/paths.ts";
import { what_stands_at } from "../drivers/in-place.ts";
import { arguments_of, boot_id, is_alive, read_process, was_started_with } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import { remove_leftovers } from "./ending/close.ts";
import { read_exit_record } from "./exit-record.ts";
import { HostLink } from "./host-link.ts";
import { begin_end, facts_to_remember, forward_events, set_host_state, watch_host } from "./hosts.ts";
import { name_session } from "./name-session.ts";
import { measure_log } from "./segments.ts";
import type { Services } from "./services.ts";
import { doubt, uneven } from "./trust.ts";

/** How long a host is given to answer, doubled with each try: a stopped host answers as soon as it is continued, as long as it is being
 * asked; one that lost the question must be asked anew. In ms. */
const FIRST_ANSWER_MS = 2_000;
const LAST_ANSWER_MS = 60_000;
/** How soon a host that refused, hung up or lied is tried again, doubled with each try. First soon: a host that is just leaving is gone in
 * a moment. In ms. */
const FIRST_PAUSE_MS = 20;
const LAST_PAUSE_MS = 30_000;

/** What a try came to: `settled` needs no other; the rest says how things stand, and whether to pause. */
type Outcome = "settled" | { state: HostState; reason: string; pause: boolean };

/** Looks for the host until it is known what became of it. One search an agent; a second call joins. Never rejects. */
export function find_host(services: Services, agent: AgentRecord): Promise<void> {
  const running = services.searches.get(agent.id);
  if (running !== undefined) return running;
  const search = run_search(services, agent)
    .catch((error) =>
      services.log.error({ agent_id: agent.id, error: message_of(error) }, "an agent could not be taken up again"),
    )
    .finally(() => services.searches.delete(agent.id));
  services.searches.set(agent.id, search);
  return search;
}

async function run_search(services: Services, agent: AgentRecord): Promise<void> {
  set_host_state(services, agent, "starting");
  let answer_ms = FIRST_ANSWER_MS;
  let pause_ms = FIRST_PAUSE_MS;
  while (!services.stopping && !agent.ended_at) {
    const outcome = await try_host(services, agent, answer_ms).catch(without_means);
    if (outcome === "settled") return;
    set_host_state(services, agent, outcome.state, outcome.reason);
    answer_ms = Math.min(answer_ms * 2, LAST_ANSWER_MS);
    if (!outcome.pause) continue;
    await delay(pause_ms, undefined, { ref: false });
    pause_ms = Math.min(pause_ms * 2, LAST_PAUSE_MS);
  }
}

async function try_host(services: Services, agent: AgentRecord, answer_ms: number): Promise<Outcome> {
  const { host } = agent;
  // Pids and sockets of another boot mean nothing in this one.
  if (host && host.boot_id !== boot_id()) return gone(services, agent, "the machine was restarted");
  const known_alive = host !== null && is_alive(host);
  let link: HostLink;
  try {
    link = await HostLink.connect(agent.id, socket_of(services, agent), forward_events(services, agent.id));
  } catch (error) {
    if (known_alive)
      return { state: "unreachable", reason: `pid ${host.pid} lives, but: ${message_of(error)}`, pause: true };
    if (is_errno(error, "ENOENT", "ECONNREFUSED", "ENOTSOCK")) return gone(services, agent);
    return { state: "unreachable", reason: message_of(error), pause: true };
  }
  if (host && !known_alive) {
    // Somebody sits on the socket of a host that is gone.
    link.close();
    return gone(services, agent);
  }
  try {
    const facts = await link.hello(answer_ms);
    const doubts = doubt(known_of(services, agent), facts, PROC);
    if (doubts !== null) throw new Mistrust(doubts);
    await take_up(services, agent, link, facts);
    return "settled";
  } catch (error) {
    if (error instanceof SupervisorError && error.code === "protocol_mismatch") {
      set_host_state(services, agent, "protocol_mismatch", error.message);
      // It will speak no other version as long as it lives.
      await link.gone;
      return { state: "protocol_mismatch", reason: error.message, pause: true };
    }
    const { fault } = link;
    link.close();
    if (is_used_up(error)) throw error;
    if (error instanceof Mistrust || fault !== null)
      return { state: "mistrusted", reason: fault ?? message_of(error), pause: true };
    if (error instanceof SupervisorError) {
      const silent = error.message.includes("did not answer");
      return { state: silent ? "unresponsive" : "mistrusted", reason: error.message, pause: !silent };
    }
    throw error;
  }
}

/** Without a descriptor nothing can be learned of a host: it is looked for again. */
function without_means(error: unknown): Outcome {
  if (is_used_up(error)) return { state: "unreachable", reason: trouble(error), pause: true };
  throw error;
}

class Mistrust extends Error {}

const PROC = { process: read_process, arguments_of, was_started_with };

const socket_of = (services: Services, agent: AgentRecord) =>
  agent.host?.socket ?? host_socket(services.runtime_dir, agent.id);

function known_of(services: Services, agent: AgentRecord) {
  return {
    id: agent.id,
    host: agent.host,
    process: agent.process,
    socket: socket_of(services, agent),
    cookie_entry: agent.cookie === null ? null : `${COOKIE_VARIABLE}=${agent.cookie}`,
  };
}

/** The host is believed: the registry takes its facts, and the agent goes on where it is. */
async function take_up(services: Services, agent: AgentRecord, link: HostLink, facts: HostFacts): Promise<void> {
  services.hosts.set(agent.id, link);
  crash_point("reconcile.connected");
  set_host_state(services, agent, facts.phase === "launching" ? "starting" : "connected");
  await note_facts(services, agent, facts);
  crash_point("reconcile.host_recorded");
  watch_host(services, agent, link);
  void rename(services, agent);
  // An end that is under way asked for this host, and goes on by itself.
  if (services.ends.has(agent.id)) return;
  if (agent.ending) return begin_end(services, agent, agent.ending.cause, agent.ending.reason);
  if (facts.phase === "waiting") {
    if (await take_back(services, agent, facts.host)) return;
    // The daemon died between the session and the launch: nothing of the agent has run, and nothing will, once it was told to stop.
    return begin_end(services, agent, "deploy_failed", "the supervisor was restarted before the agent was launched");
  }
  if (facts.phase === "launching") {
    const launching = see_launch(services, agent, link)
      .catch((error) =>
        services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a launch was not seen through"),
      )
      .finally(() => services.deploys.delete(agent.id));
    services.deploys.set(agent.id, launching);
    return;
  }
  if (agent.status === "deploying") {
    await services.registry.advance(agent, { type: "launched" });
    crash_point("reconcile.launch_recorded");
  }
  // An end that the host has begun by itself is taken up when it reports.
  if (facts.phase === "running") tell_adopted(services, agent);
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
  const doubts = doubt(known_of(services, agent), facts, PROC);
  if (doubts !== null) {
    set_host_state(services, agent, "mistrusted", doubts);
    return link.close();
  }
  set_host_state(services, agent, "connected");
  await services.registry.advance(agent, { type: "launched" }, facts_to_remember(facts));
  tell_adopted(services, agent);
}

function tell_adopted(services: Services, agent: AgentRecord): void {
  services.events.emit({
    type: "agent_adopted",
    agent_id: agent.id,
    message: "the supervisor took the agent up again; it runs on",
  });
}

/** An agent from the queue that was not launched goes back there, when that can be told for certain. */
async function take_back(services: Services, agent: AgentRecord, host: HostFacts["host"] | null): Promise<boolean> {
  const link = services.hosts.get(agent.id);
  services.hosts.delete(agent.id);
  if (await services.queue.take_back(agent, host)) {
    await remove_leftovers(services, agent);
    return true;
  }
  if (link) services.hosts.set(agent.id, link);
  return false;
}

/**
 * True when nothing of the agent ran: it has no host, or one that did not come so far. A spare is on record from the agent's first entry on, before it knows
 * whose it is; and whoever was told to launch opens the log before it starts a program. Then the record of a host is taken back, durably.
 */
async function was_never_launched(services: Services, agent: AgentRecord): Promise<boolean> {
  if (!agent.host) return true;
  if (agent.process || (await what_stands_at(agent.tracked_files.log_file as string))) return false;
  await services.registry.update(agent, { host: null });
  return true;
}

/** The host is gone. What it left decides: an end that is under way, an exit record, or nothing. */
async function gone(services: Services, agent: AgentRecord, restarted?: string): Promise<"settled"> {
  services.host_states.delete(agent.id);
  if (services.ends.has(agent.id)) return "settled";
  const record = await read_exit_record(exit_record_path(services.registry.task_of(agent).dir, agent.id), agent.id);
  if (record) crash_point("reconcile.exit_record_found");
  if (agent.ending) begin_end(services, agent, agent.ending.cause, agent.ending.reason);
  else if (record) begin_end(services, agent, record.cause, "the agent ended while no supervisor ran");
  else if (restarted) begin_end(services, agent, "host_lost", restarted);
  else if (agent.status === "deploying" && (await was_never_launched(services, agent))) {
    if (await take_back(services, agent, null)) return "settled";
    begin_end(services, agent, "deploy_failed", "the supervisor was restarted while the agent was being deployed");
  } else begin_end(services, agent, "host_lost", "its host is gone");
  return "settled";
}
