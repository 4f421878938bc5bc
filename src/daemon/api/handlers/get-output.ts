import { get_output as output_of } from "../../logs/output.ts";
import type { Handler } from "../handler.ts";

export const get_output: Handler<"get_output"> = async (services, { params, query }, signal) =>
  output_of(services, await services.registry.recall(params.agent), query, signal);
