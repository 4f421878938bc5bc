import { is_foreign } from "../../../contract/agent.ts";
import { SupervisorError } from "../../../contract/errors.ts";
import { is_ended } from "../../../contract/status.ts";
import { end_agent } from "../../ending/end.ts";
import type { Handler } from "../handler.ts";

export const progress: Handler<"progress"> = async (services, { params, body }) => {
  const agent = services.registry.find(params.agent);
  if (is_ended(agent.status) || agent.ending)
    throw new SupervisorError("agent_not_running", `${agent.id} is ${agent.status}; it cannot report any more`);
  const progress = body.progress ?? agent.progress;
  const path = agent.tracked_files.progress_file;
  if (path)
    await services.reports.append(path, {
      timestamp: new Date().toISOString(),
      agent_id: agent.id,
      ...body,
      progress,
    });
  await services.registry.update(agent, { progress, message: body.message });
  services.events.emit({
    type: "progress",
    agent_id: agent.id,
    message: `${progress} % ${body.status}: ${body.message}`,
  });
  const cause =
    body.status === "completed" ? "reported_completed" : body.status === "failed" ? "reported_failed" : null;
  if (cause && !is_foreign(agent)) {
    end_agent(services, agent, {
      cause,
      reason: `the agent reported ${body.status}`,
      cleanup: agent.cleanup,
      grace_ms: agent.grace_ms,
    }).catch((error) => services.log.error({ agent_id: agent.id, error: String(error) }, "an end did not finish"));
  }
  return { success: true };
};
