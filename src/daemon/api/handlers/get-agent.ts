import { measure_usage } from "../../../containment/groups.ts";
import { proven_groups } from "../../../containment/place.ts";
import { type AgentRecord, is_foreign } from "../../../contract/agent.ts";
import { is_ended } from "../../../contract/status.ts";
import { feel_pulse } from "../../host-pulse.ts";
import type { Services } from "../../services.ts";
import type { Handler } from "../handler.ts";
import { view } from "../view.ts";

export const get_agent: Handler<"get_agent"> = async (services, { params }) => {
  const agent = await services.registry.recall(params.agent);
  await feel_pulse(services, agent);
  return { ...view(services, agent), usage: usage_of(services, agent) };
};

/** Null for an agent that has no living process of ours. */
function usage_of({ containment }: Services, agent: AgentRecord) {
  if (is_foreign(agent) || is_ended(agent.status) || !agent.process) return null;
  const groups = proven_groups(containment, agent);
  const family = {
    leader: agent.process,
    cookie: agent.cookie as string,
    exclude: [process.pid, agent.host?.pid ?? 0],
  };
  return measure_usage(family, groups);
}
