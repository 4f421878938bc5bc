import { expect, test } from "vitest";
import { CRASH_POINTS } from "../../src/faults/crash-point.ts";
import { ALL_CASES, crash_at_each } from "../support/crash-story.ts";

test(`a crash at each of ${CRASH_POINTS.length} points, in each of ${ALL_CASES.length} stories, is recovered from: nobody is half done, no byte is missing, nothing is left`, async () => {
  const failures = await crash_at_each(ALL_CASES);
  console.log(`${CRASH_POINTS.length} crash points, ${ALL_CASES.length} stories, ${failures.length} not recovered`);
  expect(failures).toEqual([]);
}, 900_000);
