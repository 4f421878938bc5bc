import { SupervisorError } from "../../../contract/errors.ts";
import type { Handler } from "../handler.ts";
import { running } from "../running.ts";

/** The host first: what it refuses is not recorded. */
export const set_log_limit: Handler<"set_log_limit"> = async (services, { params, body }) => {
  const agent = running(services, params.agent);
  const link = services.hosts.get(agent.id);
  if (!link) throw new SupervisorError("host_failed", `the host of ${agent.id} is not connected`);
  const max_bytes = body.log_max_bytes;
  await link.request({ type: "log_limit", max_bytes });
  await services.registry.update(agent, { log_limit: { ...agent.log_limit, max_bytes } });
  return agent;
};
