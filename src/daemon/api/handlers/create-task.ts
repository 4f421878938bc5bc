import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

export const create_task: Handler<"create_task"> = async ({ registry, config }, { body }) => {
  const { description, priority, client_cwd, max_agents, max_concurrent, max_depth, ...task_context } = body;
  const more = { priority, ...(client_cwd === undefined ? {} : { client_cwd }) };
  const context = Object.keys(task_context).length > 0 ? { task_context } : {};
  const limits = Object.fromEntries(
    Object.entries({ max_agents, max_concurrent, max_depth }).filter(([, value]) => value !== undefined),
  );
  return summary(await registry.create_task(description, new Date(), { ...more, ...limits, ...context }), config);
};
