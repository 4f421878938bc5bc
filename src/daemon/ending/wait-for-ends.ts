/** How long a daemon that stops waits for the ends under way. What is not complete by then is gone on with by the next one. */
import { setTimeout as delay } from "node:timers/promises";
import type { Services } from "../services.ts";

/**
 * Beyond an end's own grace, in ms: KILL and its survivors (5 s), a host that does not answer (10 s, twice), lsof (15 s). An end that takes
 * longer is stuck, mostly on a full disk, and must not keep the daemon.
 */
const PATIENCE_MS = 40_000;

/** Resolves when `work` settles, or when the longest grace and some more are over. False when it was left undone. */
export async function patiently(services: Services, work: Promise<unknown>): Promise<boolean> {
  const graces = services.registry
    .agents()
    .map((agent) => (services.ends.has(agent.id) ? (agent.ending?.grace_ms ?? agent.grace_ms) : 0));
  const late = new AbortController();
  try {
    return await Promise.race([
      work.then(
        () => true,
        () => true,
      ),
      delay(Math.max(0, ...graces) + PATIENCE_MS, false, { signal: late.signal }).catch(() => false),
    ]);
  } finally {
    late.abort();
  }
}

/** Resolves when no attempt at an end is under way. One that pauses after a failure is not waited for. */
export const ends_settled = (services: Services) =>
  Promise.all([...services.ends.values()].map((end) => end.settled()));
