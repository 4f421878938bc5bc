import { expect, test } from "vitest";
import { CRASH_POINTS } from "../../src/faults/crash-point.ts";
import { ALL_CASES, crash_at_each } from "../support/crash-story.ts";

/** One story for each point; `npm run test:faults` plays all. */
const cases = CRASH_POINTS.map((point) => ALL_CASES.find((one) => one.point === point) as (typeof ALL_CASES)[number]);

test(`a crash at each of ${CRASH_POINTS.length} points is recovered from: nobody is half done, no byte is missing, nothing is left`, async () => {
  const failures = await crash_at_each(cases);
  console.log([`${cases.length} crash points, ${failures.length} not recovered`, ...failures].join("\n"));
  expect(failures).toEqual([]);
}, 900_000);
