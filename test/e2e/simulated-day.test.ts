import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { live_on_paper } from "../support/paper-life.ts";
import { day_text, live_really, simulate_day } from "../support/simulated-day.ts";

/** Ten thousand syncs to a disk would take a minute; they are no part of this. */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : undefined;

test("60 real agents in 24 simulated hours: prompt files are the running agents, and archives, registry and journal stay within their bounds", async () => {
  const seen = await simulate_day({ agents: 60, at_once: 6, staying: 2, live: live_really });
  console.log(day_text(seen));
  expect(seen).toMatchObject({ ended: 60, successes: 60, looks: 20 });
}, 300_000);

test("2,000 agents in 24 simulated hours, their ends recorded by the same code without processes, stay within the same bounds", async () => {
  const seen = await simulate_day({ agents: 2_000, at_once: 100, staying: 1, live: live_on_paper, base: MEMORY });
  console.log(day_text(seen));
  expect(seen).toMatchObject({ ended: 2_000, successes: 2_000, looks: 40 });
}, 300_000);
