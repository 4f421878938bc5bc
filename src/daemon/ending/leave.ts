/** The grace of an agent that says it is done: it leaves by itself, if it can, before anybody sends it a signal. */
import { setTimeout as delay } from "node:timers/promises";
import type { Ending } from "../../contract/agent.ts";
import type { HostLink } from "../host-link.ts";

/**
 * Resolves when the agent has left, or its grace is over, counted from its report: a daemon that was restarted meanwhile does not
 * begin anew. For an end of any other cause, at once. A kill that comes meanwhile ends the agent by its host, and so the wait.
 */
export async function wait_to_leave(link: HostLink, ending: Ending): Promise<void> {
  if (ending.cause !== "reported_completed" && ending.cause !== "reported_failed") return;
  const left = Date.parse(ending.requested_at) + ending.grace_ms - Date.now();
  const timer = new AbortController();
  const grace = delay(Math.min(Math.max(0, left), ending.grace_ms), undefined, { signal: timer.signal }).catch(
    (error) => {
      if ((error as Error).name !== "AbortError") throw error;
    },
  );
  await Promise.race([link.closed, link.gone, grace]);
  timer.abort();
}
