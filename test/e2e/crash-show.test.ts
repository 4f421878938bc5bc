import { test } from "vitest";
import { show_crashes } from "../support/crash-show.ts";

test("8 agents print on through 4 deaths of the supervisor, with no gap and no double line, and nothing is left of them after kill --all", async () => {
  await show_crashes({ agents: 8, crashes: 4, seed: Number(process.env.SHOW_SEED ?? Date.now() % 1_000_000) });
  // A limit for hangs: it takes 20 s on an idle machine with two cores.
}, 300_000);
