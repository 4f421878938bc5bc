import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

export const get_task: Handler<"get_task"> = async ({ registry }, { params }) => {
  const task = registry.task(params.task);
  return { ...summary(task), agent_records: [...task.agents.values()] };
};
