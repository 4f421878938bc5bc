import { SupervisorError } from "../../../contract/errors.ts";
import type { Handler } from "../handler.ts";
import { running } from "../running.ts";

export const send: Handler<"send"> = async (services, { params, body }) => {
  const agent = running(services, params.agent);
  const link = services.hosts.get(agent.id);
  if (!link) throw new SupervisorError("host_failed", `the host of ${agent.id} is not connected`);
  // Enter is CR on a terminal that translates it, NL on a raw one.
  const enter = body.enter ? (agent.mode === "interactive" ? "\r" : "\n") : "";
  const { accepted } = (await link.request({ type: "input", data: body.text + enter })) as { accepted: boolean };
  if (!accepted)
    throw new SupervisorError(
      "input_not_accepted",
      `${agent.id} has not read what was typed before; nothing was typed`,
    );
  return { accepted: true };
};
