import { is_foreign } from "../../../contract/agent.ts";
import { end_agent } from "../../ending/end.ts";
import { open_book } from "../../open-book.ts";
import { own_file } from "../../own-file.ts";
import type { Handler } from "../handler.ts";
import { reporting } from "../reporting.ts";

export const progress: Handler<"progress"> = async (services, { params, body }) => {
  const { status, message, reporter } = body;
  // Opened first: between the check and the append nothing may wait, or an end could come between.
  const book = await open_book(services, services.registry.task_of(services.registry.find(params.agent)));
  const agent = reporting(services, params.agent, reporter);
  const own_update = {
    timestamp: new Date().toISOString(),
    agent_id: agent.id,
    status,
    message,
    progress: body.progress ?? agent.progress,
  };
  const path = own_file(services, agent, "progress_file");
  if (path) await services.reports.append(path, own_update);
  book.add_progress(own_update);
  services.registry.note(agent, { progress: own_update.progress, message });
  services.events.emit({
    type: "progress",
    agent_id: agent.id,
    message: `${own_update.progress} % ${status}: ${message}`,
  });
  const cause = status === "completed" ? "reported_completed" : status === "failed" ? "reported_failed" : null;
  if (cause && !is_foreign(agent)) {
    end_agent(services, agent, {
      cause,
      reason: `the agent reported ${status}`,
      cleanup: agent.cleanup,
      grace_ms: agent.grace_ms,
    }).catch((error) => services.log.error({ agent_id: agent.id, error: String(error) }, "an end did not finish"));
    // The answer promises that the report counts: the end that it began is on disk, whatever becomes of this daemon.
    await services.registry.update(agent, {});
  }
  return { success: true, own_update, coordination_info: book.coordination(agent.id) };
};
