/** Follows the daemon's events for subscribers. A daemon that goes away ends it; the next subscription opens it again. */
import { createInterface } from "node:readline";
import { is_errno, SupervisorError } from "../contract/errors.ts";
import type { SupervisorEvent } from "../contract/operations/supervisor.ts";
import type { Connection } from "./connection.ts";

/** Returns what opens the stream, unless it is open. `on_agent` is told of each agent that something happened to; its failures end nothing. */
export function watch_events(
  connection: Connection,
  signal: AbortSignal,
  on_agent: (agent_id: string) => Promise<void>,
): () => Promise<void> {
  let open = false;
  return async () => {
    if (open || signal.aborted) return;
    const began = new Date().toISOString();
    const stream = await connection.use((client) => client.stream("events", { query: { follow: true } }, { signal }));
    open = true;
    const lines = createInterface({ input: stream });
    lines.on("line", (line) => {
      const event = JSON.parse(line) as SupervisorEvent;
      // The stream begins with what is past.
      if (event.agent_id === null || event.at < began) return;
      on_agent(event.agent_id).catch((error) => {
        if (!(error instanceof SupervisorError)) throw error;
      });
    });
    const closed = (error?: Error) => {
      open = false;
      if (error && !signal.aborted && !is_errno(error, "ECONNRESET")) throw error;
    };
    stream.once("error", closed).once("close", () => closed());
  };
}
