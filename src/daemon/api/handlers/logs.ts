import { open_log_stream } from "../../logs/log-stream.ts";
import type { Handler } from "../handler.ts";

export const logs: Handler<"logs"> = async (services, { params, query }, signal) =>
  open_log_stream(services, services.registry.find(params.agent), query, signal);
