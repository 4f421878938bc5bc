import { SupervisorError } from "../../../contract/errors.ts";
import { ask_host } from "../../host-pulse.ts";
import type { Handler } from "../handler.ts";
import { running } from "../running.ts";

const FATE = { undone: "nothing was typed", perhaps: "the text may be typed when it goes on" };

export const send: Handler<"send"> = async (services, { params, body }) => {
  const agent = running(services, params.agent);
  // Enter is CR on a terminal that translates it, NL on a raw one.
  const enter = body.enter ? (agent.mode === "interactive" ? "\r" : "\n") : "";
  const asked = ask_host(services, agent, { type: "input", data: body.text + enter }, FATE);
  const { accepted } = (await asked) as { accepted: boolean };
  if (!accepted)
    throw new SupervisorError(
      "input_not_accepted",
      `${agent.id} has not read what was typed before; nothing was typed`,
    );
  return { accepted: true };
};
