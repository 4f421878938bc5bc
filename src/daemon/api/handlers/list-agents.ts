import { is_ended } from "../../../contract/status.ts";
import type { Handler } from "../handler.ts";
import { view } from "../view.ts";

export const list_agents: Handler<"list_agents"> = async (services, { query }) => {
  const { registry } = services;
  const agents = query.task ? [...registry.task(query.task).agents.values()] : registry.agents();
  return agents
    .filter((agent) => query.all || !is_ended(agent.status))
    .sort((a, b) => a.started_at.localeCompare(b.started_at))
    .map((agent) => view(services, agent));
};
