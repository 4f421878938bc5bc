import { verify_agents } from "../../verify-agents.ts";
import type { Handler } from "../handler.ts";

export const verify: Handler<"verify"> = async (services, { body }) =>
  verify_agents(services, body.agent ? [await services.registry.recall(body.agent)] : services.registry.agents());
