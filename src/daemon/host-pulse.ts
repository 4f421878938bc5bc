/**
 * Whether a connected host answers at this moment. The kernel takes what is written to a host that is stopped or wedged, so that the connection tells
 * nothing: /proc tells of one that is stopped, and its own silence of one that hangs. Looked at when somebody asks, never by itself: four hundred
 * hosts that are well need no heartbeat. A silent one is shown as `unresponsive` until it answers; nothing is done to it, and the connection
 * stays: what it was asked it answers when it goes on.
 */
import type { AgentRecord } from "../contract/agent.ts";
import { SupervisorError } from "../contract/errors.ts";
import { HOST_PROTOCOL } from "../contract/protocol-version.ts";
import { is_ended } from "../contract/status.ts";
import { boot_id, read_process } from "../drivers/procfs.ts";
import type { HostLink, Request } from "./host-link.ts";
import { set_host_state } from "./hosts.ts";
import { within } from "./patience.ts";
import type { Services } from "./services.ts";

/** A host answers within a millisecond or two, on a busy machine in tenths of a second. How long who asks for a status waits for that, in ms. */
const PULSE_MS = 1_000;
/** How long who types into a terminal waits, in ms: longer, because nobody can tell afterwards whether it was typed. */
const ANSWER_MS = 3_000;

/** Hosts that were asked how they are and have not answered yet. */
const asked = new WeakMap<HostLink, Promise<void>>();

/** That the agent's host is stopped (proc_pid_stat(5): `T` by a signal, `t` by a debugger), and what to do; null when it is not. */
export function stopped_host({ host }: AgentRecord): string | null {
  if (!host || host.boot_id !== boot_id()) return null;
  const facts = read_process(host.pid);
  if (facts?.start_time !== host.start_time || !/^[Tt]$/.test(facts.state)) return null;
  return `its host (pid ${host.pid}) is stopped; continue it with 'kill -CONT ${host.pid}'`;
}

/** Notes in `host_states` whether the host answers. Resolves when that is known, at the latest after a second; never rejects. */
export async function feel_pulse(services: Services, agent: AgentRecord): Promise<void> {
  const link = services.hosts.get(agent.id);
  if (!link || is_ended(agent.status) || services.ends.has(agent.id) || stopped_host(agent)) return;
  const late = new Error("late");
  try {
    await within(ask_how_it_is(services, agent, link), () => late, PULSE_MS);
  } catch (error) {
    if (error !== late) throw error;
    note_silence(services, agent, link);
  }
}

/**
 * Asks a host for something on behalf of a person. Rejects with `host_failed` in one line: at once when it is stopped, not connected, or known to be
 * silent (then `undone` is true of it, "nothing was typed"), and otherwise after three seconds, when what was asked may be done later.
 */
export async function ask_host(
  services: Services,
  agent: AgentRecord,
  request: Request,
  { undone, perhaps }: { undone: string; perhaps: string },
): Promise<unknown> {
  const link = services.hosts.get(agent.id);
  const { state, reason } = services.host_states.get(agent.id) ?? { state: "starting", reason: "" };
  const stopped = stopped_host(agent);
  if (stopped) throw new SupervisorError("host_failed", `${agent.id}: ${stopped}; ${undone}`);
  if (!link)
    throw new SupervisorError(
      "host_failed",
      `the host of ${agent.id} is not connected${reason ? ` (${state}: ${reason})` : ""}; ${undone}`,
    );
  if (asked.has(link) && state === "unresponsive")
    throw new SupervisorError("host_failed", `the host of ${agent.id} does not answer; ${undone}`);
  const late = new SupervisorError(
    "host_failed",
    `the host of ${agent.id} did not answer in ${ANSWER_MS} ms; ${perhaps}; 'supervisor kill ${agent.id}' ends the agent without it`,
  );
  try {
    return await within(link.request(request, null), () => late, ANSWER_MS);
  } catch (error) {
    if (error === late) {
      void ask_how_it_is(services, agent, link);
      note_silence(services, agent, link);
    }
    throw error;
  }
}

function note_silence(services: Services, agent: AgentRecord, link: HostLink): void {
  // It may have answered, gone, or begun to end meanwhile: then there is another word on it.
  if (!asked.has(link) || services.hosts.get(agent.id) !== link || services.ends.has(agent.id)) return;
  set_host_state(services, agent, "unresponsive", `the host of ${agent.id} does not answer`);
}

/** Resolves when it has answered, or is gone. One question at a time. */
function ask_how_it_is(services: Services, agent: AgentRecord, link: HostLink): Promise<void> {
  const known = asked.get(link);
  if (known !== undefined) return known;
  const answered = link
    .request({ type: "hello", protocol: HOST_PROTOCOL }, null)
    .catch(() => undefined /* it is gone, which is somebody else's to find out */)
    .then(() => {
      asked.delete(link);
      const here = services.hosts.get(agent.id) === link;
      if (here && services.host_states.get(agent.id)?.state === "unresponsive")
        set_host_state(services, agent, "connected");
    });
  asked.set(link, answered);
  return answered;
}
