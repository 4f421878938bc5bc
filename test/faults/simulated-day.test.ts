import { expect, test } from "vitest";
import { day_text, live_really, simulate_day } from "../support/simulated-day.ts";

test("2,000 real agents in 24 simulated hours: prompt files are the running agents, and archives, registry and journal stay within their bounds", async () => {
  const seen = await simulate_day({ agents: 2_000, at_once: 10, staying: 5, live: live_really });
  console.log(day_text(seen));
  expect(seen).toMatchObject({ ended: 2_000, successes: 2_000, looks: 400 });
}, 1_800_000);
