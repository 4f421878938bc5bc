/**
 * A server that was told to end while a session was being started. `kill-server` ends the sessions that there are and refuses whoever connects from then on; a
 * `new-session` that was let in before makes one all the same, and the server stays as long as that lives (tmux 3.3a, server.c: server_loop returns while there is a
 * session; server_send_exit is run by the signal alone). SIGTERM, which is what `kill-server` sends, ends that session too: what was asked for is done.
 * Only ours is told, by its pid and start time, as it answered on its private socket; and only after it has refused twice.
 */
import { is_errno } from "../../contract/errors.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { gone_within } from "../gone.ts";
import { is_alive } from "../procfs.ts";

/** What a client says that was let in and hung up on. */
const REFUSED = /server exited unexpectedly|lost server/;
/** One that leaves is gone within some ms of its last refusal. In ms. */
const LEAVES_MS = 100;
/** How long one that was told may take. In ms. */
const GONE_MS = 2_000;

/** Those that are being seen off: many may be refused at once. */
const under_way = new Map<number, Promise<void>>();

/**
 * Sees a server off that is known, refuses and stays. `ask` asks it anything, and gives what the client said on stderr. Resolves when it is gone, when it turns out to
 * answer, or when it does not leave in time.
 */
export function see_half_gone_off(
  server: ProcessRef | null,
  stderr: string,
  ask: () => Promise<string>,
): Promise<void> {
  if (!server || !REFUSED.test(stderr)) return Promise.resolve();
  const known = under_way.get(server.pid);
  if (known !== undefined) return known;
  const work = see_off(server, ask).finally(() => under_way.delete(server.pid));
  under_way.set(server.pid, work);
  return work;
}

async function see_off(server: ProcessRef, ask: () => Promise<string>): Promise<void> {
  if (await gone_within(server, LEAVES_MS)) return;
  if (!REFUSED.test(await ask()) || !is_alive(server)) return;
  try {
    process.kill(server.pid, "SIGTERM");
  } catch (error) {
    if (!is_errno(error, "ESRCH")) throw error;
  }
  await gone_within(server, GONE_MS);
}
