/**
 * A daemon takes who connects from a queue (listen(2)). While that is full, because it is stopped or very busy, connect(2) to a unix socket that does not
 * block fails at once with EAGAIN. Nothing was asked for then, and nothing tells when there is room (poll(2) does not wait for it): it is tried again.
 */
import { setTimeout as delay } from "node:timers/promises";
import { is_errno } from "../contract/errors.ts";

const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 500;
/** A daemon that took nobody for so long is stopped or wedged. In ms. */
const PATIENCE_MS = 60_000;

/** Resolves with what `connect` does, and rejects with its error: with EAGAIN only when the queue was full for `patience_ms`. An aborted signal ends a pause. */
export async function when_there_is_room<T>(
  connect: () => Promise<T>,
  signal?: AbortSignal,
  patience_ms = PATIENCE_MS,
): Promise<T> {
  const began = performance.now();
  for (let pause_ms = FIRST_PAUSE_MS; ; pause_ms = Math.min(2 * pause_ms, LAST_PAUSE_MS)) {
    try {
      return await connect();
    } catch (error) {
      if (!is_errno(error, "EAGAIN") || performance.now() - began > patience_ms) throw error;
    }
    await delay(pause_ms, undefined, { signal });
  }
}
