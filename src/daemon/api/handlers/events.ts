import { event_stream } from "../event-stream.ts";
import type { Handler } from "../handler.ts";

export const events: Handler<"events"> = async (services, { query }, signal) =>
  event_stream(services.events, query.follow, signal);
