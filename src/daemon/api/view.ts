/** An agent as the API shows it: its record, and how things stand with its host at this moment. */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import type { AgentView } from "../../contract/agent-view.ts";
import { is_ended } from "../../contract/status.ts";
import { stopped_host } from "../host-pulse.ts";
import type { Services } from "../services.ts";

export function view(services: Services, agent: AgentRecord): AgentView {
  const { state, reason } = state_of(services, agent);
  return {
    ...agent,
    host_state: state,
    host_state_reason: reason,
    queue_position: services.queue.position(agent),
    queue_reason: services.queue.reason(agent),
  };
}

function state_of(services: Services, agent: AgentRecord) {
  if (is_foreign(agent) || is_ended(agent.status) || agent.status === "queued")
    return { state: "none" as const, reason: "" };
  const known = services.host_states.get(agent.id) ?? { state: "starting" as const, reason: "" };
  if (known.state !== "connected" && known.state !== "unresponsive") return known;
  const stopped = stopped_host(agent);
  if (stopped === null) return known;
  const reason = known.state === "connected" ? stopped : `${known.reason}; ${stopped}`;
  return { state: "unresponsive" as const, reason };
}
