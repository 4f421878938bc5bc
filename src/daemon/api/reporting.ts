/** An agent that may report. */
import type { AgentRecord } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { is_ended } from "../../contract/status.ts";
import type { Services } from "../services.ts";

/** Rejects with `agent_not_running`, or `not_the_reporter` when another agent says that it sends the report. */
export function reporting(services: Services, id: string, reporter: string | undefined): AgentRecord {
  const agent = services.registry.find(id);
  if (reporter !== undefined && reporter !== agent.id)
    throw new SupervisorError(
      "not_the_reporter",
      `${reporter} reported for ${agent.id}; an agent reports for itself alone (leave the agent out, or give your own id)`,
    );
  if (is_ended(agent.status) || agent.ending || agent.status === "queued")
    throw new SupervisorError("agent_not_running", `${agent.id} is ${agent.status}; it cannot report now`);
  return agent;
}
