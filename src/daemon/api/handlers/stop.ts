import { is_foreign } from "../../../contract/agent.ts";
import { is_ended } from "../../../contract/status.ts";
import { kill_all } from "../../kill.ts";
import type { Handler } from "../handler.ts";

export const stop: Handler<"stop"> = async (services, { body }) => {
  services.stopping = body.agents || services.stopping;
  try {
    const options = { reason: "the supervisor was told to stop its agents", cleanup: "archive" } as const;
    const receipts = body.agents ? await kill_all(services, () => true, options) : [];
    // Those that go on: an end under way is finished first, and what another program wrote is not ours to count.
    const going_on = services.registry
      .agents()
      .filter((agent) => !is_foreign(agent) && agent.status !== "stopping" && !is_ended(agent.status));
    return { agents_running: going_on.length, receipts };
  } finally {
    services.request_stop();
  }
};
