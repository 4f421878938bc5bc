/**
 * What time it is, for everything that grows old: archives, receipts, tasks, leftovers. Handed around, so that a test can let a day pass
 * in a second. Deadlines and graces are no business of it: they are real, always.
 */
export interface Clock {
  /** The wall clock, in ms since 1970. Somebody may set it. */
  wall_ms(): number;
  /** A clock that nobody sets, in ms since anything. */
  monotonic_ms(): number;
}

export const SYSTEM_CLOCK: Clock = { wall_ms: () => Date.now(), monotonic_ms: () => performance.now() };

/**
 * Ages that no set clock can make too great: the wall clock is believed only as far as the monotonic one agrees since this was made. A clock
 * that is set forward makes nothing older than it is; one that is set back makes things younger, and then they are kept for longer.
 */
export class Ages {
  private readonly wall_at_start: number;
  private readonly monotonic_at_start: number;

  constructor(private readonly clock: Clock) {
    this.wall_at_start = clock.wall_ms();
    this.monotonic_at_start = clock.monotonic_ms();
  }

  /** How old something of this time (wall clock, ms) is at least, in ms; 0 for what is of the future, and for what is no time. */
  age_of(at_ms: number): number {
    const counted = this.wall_at_start + (this.clock.monotonic_ms() - this.monotonic_at_start);
    if (Number.isNaN(at_ms)) return 0;
    return Math.max(0, Math.min(this.clock.wall_ms(), counted) - at_ms);
  }
}
