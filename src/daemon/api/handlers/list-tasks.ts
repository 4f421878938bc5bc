import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

export const list_tasks: Handler<"list_tasks"> = async ({ registry, config }) =>
  [...registry.tasks.values()].map((task) => summary(task, config));
