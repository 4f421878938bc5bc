/**
 * The sweeper: the one list of what is swept, in order. By itself it tries deferred removals each minute and everything each five; `gc` does
 * everything now. One sweep at a time: two would count the same file twice.
 */
import { message_of } from "../contract/errors.ts";
import type { Kept } from "../contract/kept.ts";
import type { Answer } from "../contract/operations.ts";
import type { Services } from "./services.ts";
import { audited_verdicts } from "./sweep/audited-verdicts.ts";
import { deferred_removals } from "./sweep/deferred-removals.ts";
import { departing_agents } from "./sweep/departing-agents.ts";
import { empty_groups } from "./sweep/empty-groups.ts";
import { expired_archives } from "./sweep/expired-archives.ts";
import { expired_receipts } from "./sweep/expired-receipts.ts";
import { expired_tasks } from "./sweep/expired-tasks.ts";
import { orphaned_files } from "./sweep/orphaned-files.ts";
import { orphaned_sessions } from "./sweep/orphaned-sessions.ts";
import { runtime_files } from "./sweep/runtime-files.ts";
import { stale_temporaries } from "./sweep/stale-temporaries.ts";
import { Sweep } from "./sweep/sweep.ts";

/** How often deferred removals are tried, in ms: a holder that lets go frees its disk space within a minute. */
const EVERY_MS = 60_000;
/** Everything is swept each so many times: it asks tmux, and looks at every file. */
const EVERYTHING_EACH = 5;

/** Deferred removals first of what removes, because they free what others wait for; archives before receipts, receipts before tasks. */
const SOON = [audited_verdicts, deferred_removals, empty_groups];
const EVERYTHING = [
  ...SOON,
  departing_agents,
  expired_archives,
  expired_receipts,
  expired_tasks,
  orphaned_files,
  stale_temporaries,
  runtime_files,
  orphaned_sessions,
];

/** One sweep of everything, after those that were asked for before. With `dry_run` nothing is done; the answer says what would be. */
export function collect_garbage(services: Services, dry_run: boolean): Promise<Kept<Answer<"gc">>> {
  return sweep_in_turn(services, EVERYTHING, dry_run);
}

function sweep_in_turn(services: Services, kinds: typeof EVERYTHING, dry_run: boolean): Promise<Kept<Answer<"gc">>> {
  const work = services.sweep.then(() => sweep_now(services, kinds, dry_run));
  services.sweep = work.catch(() => undefined /* told to who asked for it */);
  return work;
}

async function sweep_now(services: Services, kinds: typeof EVERYTHING, dry_run: boolean): Promise<Kept<Answer<"gc">>> {
  const sweep = new Sweep(services, dry_run);
  if (kinds === EVERYTHING) services.sightings.begin_sweep();
  const failures: unknown[] = [];
  for (const kind of kinds) {
    // One kind that cannot be looked at must not keep the others.
    await kind(sweep).catch((error) => failures.push(error));
  }
  if (sweep.freed.files > 0)
    await services.registry.ledger
      .add_swept(sweep.freed)
      .catch((error) => services.log.warn({ error: message_of(error) }, "what was swept is on record later"));
  for (const error of failures) services.log.error({ error: message_of(error) }, "a part of a sweep failed");
  if (failures.length > 0) throw failures[0];
  const { removed, deferred, items } = sweep;
  return { removed, deferred, items };
}

/** Sweeps now and then. Returns how to stop it. */
export function start_sweeper(services: Services, every_ms = EVERY_MS): () => void {
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    const kinds = count % EVERYTHING_EACH === 0 ? EVERYTHING : SOON;
    sweep_in_turn(services, kinds, false).catch(() => undefined /* logged there */);
  }, every_ms);
  return () => clearInterval(timer);
}
