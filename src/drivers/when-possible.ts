/** Looks that need a descriptor when there is none. For whoever has nobody to try again for him: a host, whose end comes only once. */
import { setTimeout as delay } from "node:timers/promises";
import { is_used_up, trouble } from "../contract/errors.ts";

/** How soon is tried again, in ms: seldom enough to cost nothing, soon enough that nobody waits longer for it than for a process to end. */
const RETRY_MS = 100;

export interface Patience {
  /** Told why it waits, and null when it goes on. */
  on_wait?: ((reason: string | null) => void) | undefined;
  /** Rejects a wait when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** The result of `work`, which is tried again as long as descriptors or memory are used up. Any other error rejects. */
export async function when_possible<T>(work: () => T | Promise<T>, { on_wait, signal }: Patience = {}): Promise<T> {
  let told = false;
  for (;;) {
    try {
      const result = await work();
      if (told) on_wait?.(null);
      return result;
    } catch (error) {
      if (!is_used_up(error)) throw error;
      if (!told) on_wait?.(trouble(error));
      told = true;
    }
    await delay(RETRY_MS, undefined, { signal });
  }
}
