import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

export const create_task: Handler<"create_task"> = async ({ registry }, { body }) => {
  const { description, priority, client_cwd, ...task_context } = body;
  const more = { priority, ...(client_cwd === undefined ? {} : { client_cwd }) };
  const context = Object.keys(task_context).length > 0 ? { task_context } : {};
  return summary(await registry.create_task(description, new Date(), { ...more, ...context }));
};
