import { SupervisorError } from "../../../contract/errors.ts";
import { is_ended } from "../../../contract/status.ts";
import type { Handler } from "../handler.ts";

export const finding: Handler<"finding"> = async (services, { params, body }) => {
  const agent = services.registry.find(params.agent);
  const path = agent.tracked_files.findings_file;
  if (is_ended(agent.status) || agent.ending || !path)
    throw new SupervisorError("agent_not_running", `${agent.id} is ${agent.status}; it cannot report any more`);
  await services.reports.append(path, { timestamp: new Date().toISOString(), agent_id: agent.id, ...body });
  services.events.emit({
    type: "finding",
    agent_id: agent.id,
    message: `${body.severity} ${body.finding_type}: ${body.message}`,
  });
  return { success: true };
};
