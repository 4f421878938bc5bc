/**
 * The exit record: what a host leaves on disk for the next daemon. A disk that is full is waited for, as with the log: without its record an
 * agent that ended while no daemon ran would be taken for lost.
 */
import { setTimeout as delay } from "node:timers/promises";
import { is_disk_trouble, is_used_up, trouble } from "../contract/errors.ts";
import type { ClosedReport } from "../contract/receipt.ts";
import { replace_in_place } from "../drivers/in-place.ts";

/** How often a refused write is tried again, in ms: nobody waits for it but a daemon that may start some day. */
const RETRY_MS = 1_000;

const passes = (error: unknown) => is_disk_trouble(error) || is_used_up(error);

/** Writes the record. Resolves with what went wrong, and with the promise of the record if it may still be written; both null when it is there. */
export async function record_exit(
  path: string,
  report: ClosedReport,
): Promise<{ note: string | null; later: Promise<void> | null }> {
  try {
    await replace_in_place(path, JSON.stringify(report));
    return { note: null, later: null };
  } catch (error) {
    const note = `the exit record could not be written: ${trouble(error)}`;
    return { note, later: passes(error) ? keep_trying(path, report) : null };
  }
}

/** Resolves when the record is written, or can never be. */
async function keep_trying(path: string, report: ClosedReport): Promise<void> {
  for (;;) {
    await delay(RETRY_MS);
    try {
      await replace_in_place(path, JSON.stringify(report));
      return;
    } catch (error) {
      if (!passes(error)) return;
    }
  }
}
