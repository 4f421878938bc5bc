/** Looks that need a descriptor when there is none. For whoever has nobody to try again for him: a host, whose end comes only once. */
import { setTimeout as delay } from "node:timers/promises";
import { is_used_up } from "../contract/errors.ts";

/** How soon is tried again, in ms: seldom enough to cost nothing, soon enough that nobody waits longer for it than for a process to end. */
const RETRY_MS = 100;

/** The result of `work`, which is tried again as long as descriptors or memory are used up. Any other error rejects, and so does the signal. */
export async function when_possible<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!is_used_up(error)) throw error;
    }
    await delay(RETRY_MS, undefined, { signal });
  }
}
