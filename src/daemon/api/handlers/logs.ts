import { open_log_stream } from "../../logs/log-stream.ts";
import { no_answer, TASK_FILES, within } from "../../patience.ts";
import type { Handler } from "../handler.ts";

export const logs: Handler<"logs"> = async (services, { params, query }, signal) => {
  const agent = await services.registry.recall(params.agent);
  const { dir } = services.registry.task_of(agent);
  const opened = TASK_FILES.of(dir).in_turn(() => open_log_stream(services, agent, query, signal));
  return within(opened, () => no_answer(dir, "try again when it does"));
};
