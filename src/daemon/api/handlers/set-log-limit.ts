import { crash_point } from "../../../faults/crash-point.ts";
import { ask_host } from "../../host-pulse.ts";
import type { Handler } from "../handler.ts";
import { running } from "../running.ts";

const FATE = {
  undone: "the limit stays as it was",
  perhaps: "it may take the limit when it goes on, but it is not recorded: set it again then",
};

/** The host first: what it refuses is not recorded. Its limit is the one that works; a daemon that dies in between leaves it to the next to record (`adopt`). */
export const set_log_limit: Handler<"set_log_limit"> = async (services, { params, body }) => {
  const agent = running(services, params.agent);
  const max_bytes = body.log_max_bytes;
  await ask_host(services, agent, { type: "log_limit", max_bytes }, FATE);
  crash_point("limit.host_told");
  await services.registry.update(agent, { log_limit: { ...agent.log_limit, max_bytes } });
  return agent;
};
