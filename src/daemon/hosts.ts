/** What the daemon does when a host says something, or goes away. */
import type { AgentRecord } from "../contract/agent.ts";
import type { HostEvent, HostFacts } from "../contract/host-protocol.ts";
import type { ClosedReport } from "../contract/receipt.ts";
import { end_agent } from "./ending/end.ts";
import type { HostLink } from "./host-link.ts";
import type { Services } from "./services.ts";

/** A handler that turns a host's events into the supervisor's. */
export function forward_events(services: Services, agent_id: string): (event: HostEvent) => void {
  return (event) => {
    if (event.event === "stalled") {
      // In memory only: the disk that is full may be the registry's, and the host says it again to the next daemon.
      const agent = services.registry.agents().find((one) => one.id === agent_id);
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
    if (event.event === "exited")
      services.events.emit({ type: "agent_exited", agent_id, message: event.signal ?? `exit code ${event.code}` });
  };
}

/** What the registry keeps of a host's facts about its agent. Groups that were planned and not made are forgotten. */
export function facts_to_remember({ process, cgroups }: HostFacts): Partial<AgentRecord> {
  return { process, cgroups, containment: cgroups.length > 0 ? "cgroup" : "cookie" };
}

/** Follows a host to its end: an end that the host begins by itself, or its death, is taken up by the daemon. */
export function watch_host(services: Services, agent: AgentRecord, link: HostLink): void {
  link.on_pane = (state) => services.panes.note(agent, state);
  if (link.pane) services.panes.note(agent, link.pane);
  if (link.pane === "open" && link.tmux_server) services.tmux.process ??= link.tmux_server;
  const take_up = (cause: "exited" | "host_lost" | "session_killed" | "kill", reason: string) =>
    end_agent(services, agent, { cause, reason, cleanup: agent.cleanup, grace_ms: agent.grace_ms }).catch((error) => {
      services.log.error({ agent_id: agent.id, error: String(error) }, "an end did not finish");
    });
  void link.closed.then((report) =>
    take_up(
      report.cause as "exited",
      is_out_of_memory(report) ? OUT_OF_MEMORY : (REASONS[report.cause] ?? report.cause),
    ),
  );
  void link.gone.then(() => {
    agent.stalled = null;
    if (services.hosts.get(agent.id) === link) services.hosts.delete(agent.id);
    if (!services.stopping && !services.ends.has(agent.id) && !agent.ended_at)
      void take_up("host_lost", "its host went away");
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
