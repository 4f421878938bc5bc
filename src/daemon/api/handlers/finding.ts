import { SupervisorError } from "../../../contract/errors.ts";
import { open_book } from "../../open-book.ts";
import { own_file } from "../../own-file.ts";
import type { Handler } from "../handler.ts";
import { reporting } from "../reporting.ts";

export const finding: Handler<"finding"> = async (services, { params, body }) => {
  const { reporter, ...what } = body;
  // Opened first: between the check and the append nothing may wait, or an end could come between.
  const book = await open_book(services, services.registry.task_of(services.registry.find(params.agent)));
  const agent = reporting(services, params.agent, reporter);
  const path = own_file(services, agent, "findings_file");
  if (!path)
    throw new SupervisorError("agent_not_ours", `${agent.id} was started by another program; it has no findings file`);
  const own_finding = { timestamp: new Date().toISOString(), agent_id: agent.id, ...what };
  await services.reports.append(path, own_finding);
  book.add_finding(own_finding);
  services.events.emit({
    type: "finding",
    agent_id: agent.id,
    message: `${what.severity} ${what.finding_type}: ${what.message}`,
  });
  return { success: true, own_finding, coordination_info: book.coordination(agent.id) };
};
