/** What the daemon does when a host says something, or goes away. */
import { is_adverse } from "../contract/adverse.ts";
import type { AgentRecord } from "../contract/agent.ts";
import type { HostEvent, HostFacts } from "../contract/host-protocol.ts";
import type { HostState } from "../contract/host-state.ts";
import type { ClosedReport } from "../contract/receipt.ts";
import type { EndCause } from "../contract/status.ts";
import { end_agent } from "./ending/end.ts";
import type { HostLink } from "./host-link.ts";
import { note_rotation } from "./segments.ts";
import type { Services } from "./services.ts";

/** A handler that turns a host's events into the supervisor's. */
export function forward_events(services: Services, agent_id: string): (event: HostEvent) => void {
  const find = () => services.registry.agents().find((one) => one.id === agent_id);
  return (event) => {
    if (event.event === "stalled") {
      // In memory only: the disk that is full may be the registry's, and the host says it again to the next daemon.
      const agent = find();
      if (agent) agent.stalled = event.reason;
      services.events.emit({
        type: event.reason ? "agent_stalled" : "agent_resumed",
        agent_id,
        message: event.reason ?? "output goes on",
      });
      services.log.warn(
        { agent_id, reason: event.reason },
        event.reason ? "the agent's output is held up" : "the agent's output goes on",
      );
    }
    if (event.event === "rotated") {
      const agent = find();
      if (agent) void note_rotation(services, agent);
    }
    // The host's own words, in its own order: an exit has had its start.
    if (event.event === "launched")
      services.events.emit({ type: "agent_started", agent_id, message: find()?.command.join(" ") ?? "" });
    if (event.event === "exited")
      services.events.emit({ type: "agent_exited", agent_id, message: event.signal ?? `exit code ${event.code}` });
  };
}

/** A handler that keeps events to itself until `let_go`, and hands them on from then on. */
export function held_back(forward: (event: HostEvent) => void) {
  let held: HostEvent[] | null = [];
  return {
    hear(event: HostEvent): void {
      if (held) held.push(event);
      else forward(event);
    },
    let_go(): void {
      const told = held ?? [];
      held = null;
      for (const event of told) forward(event);
    },
  };
}

/** What the registry keeps of a host's facts about its agent. Groups that were planned and not made are forgotten. */
export function facts_to_remember({ process, cgroups }: HostFacts): Partial<AgentRecord> {
  return { process, cgroups, containment: cgroups.length > 0 ? "cgroup" : "cookie" };
}

/** Notes how the daemon stands with a host, and tells of it once when that is bad. */
export function set_host_state(services: Services, agent: AgentRecord, state: HostState, reason = ""): void {
  const before = services.host_states.get(agent.id);
  const since_ms = before?.state === state ? before.since_ms : Date.now();
  services.host_states.set(agent.id, { state, reason, since_ms });
  if (!is_adverse(state) || before?.state === state) return;
  services.log.warn(
    { agent_id: agent.id, host_state: state, reason },
    "an agent's host cannot be taken up; it is tried again",
  );
  services.events.emit({ type: "warning", agent_id: agent.id, message: `its host is ${state}: ${reason}` });
}

/** Begins an end, or joins it. One that fails says so itself, and is tried again by itself. */
export function begin_end(services: Services, agent: AgentRecord, cause: EndCause, reason: string): void {
  end_agent(services, agent, { cause, reason, cleanup: agent.cleanup, grace_ms: agent.grace_ms }).catch(
    () => undefined,
  );
}

/**
 * Follows a host to its end: an end that the host begins by itself is taken up. A connection that ends is not yet a host that ended:
 * that is found out.
 */
export function watch_host(services: Services, agent: AgentRecord, link: HostLink): void {
  link.on_pane = (state) => services.panes.note(agent, state);
  if (link.pane) services.panes.note(agent, link.pane);
  if (link.pane === "open" && link.tmux_server) services.tmux.process ??= link.tmux_server;
  void link.closed.then((report) =>
    begin_end(
      services,
      agent,
      report.cause,
      is_out_of_memory(report) ? OUT_OF_MEMORY : (REASONS[report.cause] ?? report.cause),
    ),
  );
  void link.gone.then(() => {
    agent.stalled = null;
    if (services.hosts.get(agent.id) === link) services.hosts.delete(agent.id);
    if (!services.stopping && !services.ends.has(agent.id) && !agent.ended_at && agent.status !== "queued")
      void services.find_host(agent);
  });
}

const OUT_OF_MEMORY = "the agent was out of memory: the kernel killed it";

/** The agent's own process was ended by the kernel's KILL. A helper of it that was killed is a note, and no reason. */
const is_out_of_memory = ({ cause, exit, oom_kills, signals }: ClosedReport) =>
  cause === "exited" && oom_kills > 0 && exit.signal === "SIGKILL" && !signals.some((one) => one.signal === "SIGKILL");

const REASONS: Partial<Record<string, string>> = {
  exited: "the agent exited",
  session_killed: "its tmux session was killed",
  kill: "its host was told to end",
};
