/**
 * The user's URL that alerts are posted to. When the other side is slow, it has its deadline; when it is gone or says no, that is an error. The URL may
 * hold a token: it is in no error and no log line.
 */
import { AbortError } from "p-retry";
import type { Alert } from "../../contract/alert.ts";
import { errno_of } from "../../contract/errors.ts";

/** A sender by HTTP. Rejects with an `AbortError` when trying again cannot help. */
export function webhook_sender(url: string, timeout_ms: number) {
  return async (alert: Alert, signal: AbortSignal): Promise<void> => {
    const late = AbortSignal.timeout(timeout_ms);
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": "agent-supervisor" },
      body: JSON.stringify(alert),
      // Who is asked is who the user named, and nobody whom that one names.
      redirect: "manual",
      signal: AbortSignal.any([signal, late]),
    }).catch((error) => {
      const why = late.aborted ? `did not answer in ${timeout_ms} ms` : `cannot be reached (${reason_of(error)})`;
      throw new Error(`the webhook ${why}`);
    });
    // Nothing in the answer is of use, and it may be endless.
    await response.body?.cancel();
    if (response.ok) return;
    const refused = `the webhook answered ${response.status}`;
    if (response.status >= 300 && response.status < 400)
      throw new AbortError(`${refused}: redirects are not followed; set alerts.webhook to the place it leads to`);
    if (response.status < 500 && response.status !== 408 && response.status !== 429) throw new AbortError(refused);
    throw new Error(refused);
  };
}

/** The system's word for it (ECONNREFUSED), without the address. */
function reason_of(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return errno_of(cause) ?? errno_of(error) ?? (error as Error).name;
}
