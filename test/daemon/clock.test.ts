import { describe, expect, test } from "vitest";
import { Ages } from "../../src/daemon/clock.ts";
import { SAFE_AGE_MS, Sightings } from "../../src/daemon/sweep/sightings.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";

const DAY = 86_400_000;

describe("ages", () => {
  test("follow the time that passes", () => {
    const clock = new SimulatedClock();
    const ages = new Ages(clock);
    const at = clock.wall_ms();
    clock.advance(DAY);
    expect(ages.age_of(at)).toBe(DAY);
  });

  test("are not made greater by a clock that is set forward; one that is set back makes things younger", () => {
    const clock = new SimulatedClock();
    const ages = new Ages(clock);
    const at = clock.wall_ms();
    clock.set_wall(365 * DAY);
    expect(ages.age_of(at)).toBe(0);
    clock.set_wall(-366 * DAY);
    expect(ages.age_of(at)).toBe(0);
  });

  test("of what has no time are none", () => {
    const ages = new Ages(new SimulatedClock());
    expect(ages.age_of(Number.NaN)).toBe(0);
    expect(ages.age_of(Number.POSITIVE_INFINITY)).toBe(0);
  });
});

test("what is seen in every sweep is known since the first, by a clock that nobody sets; what was missing is seen anew", () => {
  const clock = new SimulatedClock();
  const sightings = new Sightings(clock);
  sightings.begin_sweep();
  expect(sightings.seen_for("a")).toBe(0);
  clock.set_wall(DAY);
  clock.advance(SAFE_AGE_MS);
  sightings.begin_sweep();
  expect(sightings.seen_for("a")).toBe(SAFE_AGE_MS);
  sightings.begin_sweep();
  sightings.begin_sweep();
  expect(sightings.seen_for("a")).toBe(0);
});
