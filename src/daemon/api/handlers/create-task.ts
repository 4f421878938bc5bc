import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

export const create_task: Handler<"create_task"> = async ({ registry }, { body }) =>
  summary(await registry.create_task(body.description));
