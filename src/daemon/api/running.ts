/** An agent that still takes orders. */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { is_ended } from "../../contract/status.ts";
import { has_ended } from "../registry/look-up.ts";
import type { Services } from "../services.ts";

/** Rejects with `agent_not_running` or `agent_not_ours`. */
export function running(services: Services, id: string): AgentRecord {
  const agent = services.registry.find(id);
  if (is_ended(agent.status)) throw has_ended(agent);
  if (agent.ending)
    throw new SupervisorError(
      "agent_not_running",
      `${agent.id} is ending; 'supervisor wait ${agent.id}' waits until that is done`,
    );
  if (agent.status === "queued")
    throw new SupervisorError(
      "agent_not_running",
      `${agent.id} is queued, at place ${services.queue.position(agent)}: ${services.queue.reason(agent)}`,
    );
  if (is_foreign(agent))
    throw new SupervisorError("agent_not_ours", `${agent.id} was started by another program; its terminal is not ours`);
  return agent;
}
