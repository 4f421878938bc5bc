import { is_ended } from "../../../contract/status.ts";
import { departed } from "../../retention/departed.ts";
import type { Handler } from "../handler.ts";
import { view } from "../view.ts";

export const list_agents: Handler<"list_agents"> = async (services, { query }) => {
  const { registry } = services;
  const tasks = query.task ? [registry.task(query.task)] : [...registry.tasks.values()];
  const agents = tasks.flatMap((task) => [...task.agents.values()]);
  const gone = query.all ? await departed(services, tasks, query.limit) : [];
  return [...gone, ...agents]
    .filter((agent) => query.all || !is_ended(agent.status))
    .sort((a, b) => a.started_at.localeCompare(b.started_at))
    .map((agent) => view(services, agent));
};
