import { SupervisorError } from "../../../contract/errors.ts";
import { kill_all } from "../../kill.ts";
import type { Handler } from "../handler.ts";

export const kill_many: Handler<"kill_many"> = async (services, { body }) => {
  const { task_id, all, ...options } = body;
  if (!task_id === !all) throw new SupervisorError("invalid_request", "say which agents: a task_id, or all");
  const task = task_id ? services.registry.task(task_id) : null;
  const receipts = await kill_all(services, (agent) => !task || task.agents.has(agent.id), options);
  return { success: receipts.every((one) => one.success), receipts };
};
