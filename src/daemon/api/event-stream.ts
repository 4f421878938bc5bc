/** Events as NDJSON: the recent ones, and with follow those to come. A client that does not read loses the oldest, not the daemon's memory. */
import { deferred } from "../../contract/deferred.ts";
import type { EventLog } from "../events.ts";

/** Events kept for a client that does not read. */
const BACKLOG = 10_000;

export async function* event_stream(events: EventLog, follow: boolean, signal: AbortSignal): AsyncGenerator<string> {
  const queue = [...events.recent()];
  let wake = deferred();
  const stop = events.listen((event) => {
    queue.push(event);
    if (queue.length > BACKLOG) queue.shift();
    wake.resolve();
  });
  signal.addEventListener("abort", () => wake.resolve(), { once: true });
  try {
    while (!signal.aborted) {
      wake = deferred();
      for (let event = queue.shift(); event; event = queue.shift()) yield `${JSON.stringify(event)}\n`;
      if (!follow) return;
      await wake.promise;
    }
  } finally {
    stop();
  }
}
