import { open_book } from "../../open-book.ts";
import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

export const get_task: Handler<"get_task"> = async (services, { params }) => {
  const task = services.registry.task(params.task);
  const { progress, findings } = await open_book(services, task);
  const reports = {
    recent_updates: progress.recent,
    recent_findings: findings.recent,
    total_progress_entries: progress.total,
    total_findings: findings.total,
  };
  return { ...summary(task), agent_records: [...task.agents.values()], reports };
};
