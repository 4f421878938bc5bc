/**
 * Finds an agent's host: when the daemon starts, and when the connection to a host ends. A host that accepts
 * but does not answer, that lies, or that cannot be reached although it lives, is tried again and again, in the background, and
 * nothing of its agent is touched meanwhile. Only /proc says that a host is gone.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { AgentRecord } from "../contract/agent.ts";
import { is_errno, is_used_up, message_of, SupervisorError, trouble } from "../contract/errors.ts";
import type { HostState } from "../contract/host-state.ts";
import { exit_record_path } from "../contract/paths.ts";
import { what_stands_at } from "../drivers/in-place.ts";
import { boot_id, is_alive } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import { back_to_queue, doubts_of, socket_of, take_up } from "./adopt.ts";
import { read_exit_record } from "./exit-record.ts";
import { HostLink } from "./host-link.ts";
import { begin_end, forward_events, held_back, set_host_state } from "./hosts.ts";
import type { Services } from "./services.ts";

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
  // That it was taken up is told before what it says.
  const news = held_back(forward_events(services, agent.id));
  let link: HostLink;
  try {
    link = await HostLink.connect(agent.id, socket_of(services, agent), news.hear);
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
    const doubts = doubts_of(services, agent, facts);
    if (doubts !== null) throw new Mistrust(doubts);
    await take_up(services, agent, link, facts);
    news.let_go();
    return "settled";
  } catch (error) {
    news.let_go();
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
    if (await back_to_queue(services, agent, null)) return "settled";
    begin_end(services, agent, "deploy_failed", "the supervisor was restarted while the agent was being deployed");
  } else begin_end(services, agent, "host_lost", "its host is gone");
  return "settled";
}
