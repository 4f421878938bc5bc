import { kill_agent } from "../../kill.ts";
import type { Handler } from "../handler.ts";

export const kill: Handler<"kill"> = async (services, { params, body }) =>
  kill_agent(services, await services.registry.recall(params.agent), body);
