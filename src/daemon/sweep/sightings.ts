/**
 * Since when the sweeper knows of something: what it would remove it must have seen before, a safe time ago, by a clock that nobody can
 * set. So a file that is just being made, or a clock that was wrong when the machine started, costs nothing.
 */
import type { Clock } from "../clock.ts";

/**
 * How long something must have been seen as garbage before it is removed, in ms. Longer than any operation of ours takes (an lsof 15 s, a file
 * system that does not answer 10 s, a host that is waited for 20 s), and than a clock that was wrong at the start takes to be set.
 */
export const SAFE_AGE_MS = 10 * 60_000;

export class Sightings {
  private readonly seen = new Map<string, { since: number; sweep: number }>();
  private sweep = 0;

  constructor(private readonly clock: Clock) {}

  /** Forgets what the last sweep did not see. Call it when a sweep begins. */
  begin_sweep(): void {
    for (const [what, { sweep }] of this.seen) if (sweep < this.sweep) this.seen.delete(what);
    this.sweep += 1;
  }

  /** How long this has been seen in every sweep, in ms; 0 for the first time. */
  seen_for(what: string): number {
    const now = this.clock.monotonic_ms();
    const known = this.seen.get(what) ?? { since: now, sweep: this.sweep };
    this.seen.set(what, { ...known, sweep: this.sweep });
    return now - known.since;
  }
}
