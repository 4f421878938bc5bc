import { open_book } from "../../open-book.ts";
import { departed } from "../../retention/departed.ts";
import type { Handler } from "../handler.ts";
import { summary } from "../task-summary.ts";

/** How many agents that have left the registry are shown, the newest; `agents` counts all. An answer of thousands helps nobody. */
const RECORDS = 200;

export const get_task: Handler<"get_task"> = async (services, { params }) => {
  const task = services.registry.task(params.task);
  const { progress, findings } = await open_book(services, task);
  const reports = {
    recent_updates: progress.recent,
    recent_findings: findings.recent,
    total_progress_entries: progress.total,
    total_findings: findings.total,
  };
  const gone = await departed(services, [task], RECORDS);
  return { ...summary(task, services.config), agent_records: [...gone, ...task.agents.values()], reports };
};
