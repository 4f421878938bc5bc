import { is_ended } from "../../../contract/status.ts";
import { kill_all } from "../../kill.ts";
import type { Handler } from "../handler.ts";

export const stop: Handler<"stop"> = async (services, { body }) => {
  services.stopping = body.agents || services.stopping;
  try {
    const options = { reason: "the supervisor was told to stop its agents", cleanup: "archive" } as const;
    const receipts = body.agents ? await kill_all(services, () => true, options) : [];
    return { agents_running: services.registry.agents().filter((agent) => !is_ended(agent.status)).length, receipts };
  } finally {
    services.request_stop();
  }
};
