import type { Handler } from "../handler.ts";

export const get_metrics: Handler<"get_metrics"> = async (services, { query }) =>
  services.metrics.answer(query.process);
