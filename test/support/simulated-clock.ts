/** A clock of a test's own: a day passes in no time. */
import type { Clock } from "../../src/daemon/clock.ts";

/** Begins at the real time, and goes on only when it is told to. */
export class SimulatedClock implements Clock {
  private wall = Date.now();
  private monotonic = 0;
  wall_ms = () => this.wall;
  monotonic_ms = () => this.monotonic;

  /** Time passes. */
  advance(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }

  /** Somebody sets the wall clock. */
  set_wall(by_ms: number): void {
    this.wall += by_ms;
  }
}
