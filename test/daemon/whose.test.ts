import { expect, test } from "vitest";
import { judge_owner } from "../../src/daemon/whose.ts";

const facts = (pid: number, start_time: number, session: number) => ({
  pid,
  start_time,
  session,
  comm: "x",
  state: "S",
  ppid: 1,
  pgrp: session,
});
const agent = {
  status: "running",
  host: { pid: 10, start_time: 100, boot_id: "boot", socket: "", protocol: 1 },
  process: { pid: 20, start_time: 200 },
};

test("a holder is the agent's only if it is in the session of that very agent, by pid, start time and boot", () => {
  const leader = facts(20, 200, 20);
  expect(judge_owner(facts(21, 210, 20), leader, [agent], "boot")).toBe("agent");
  expect(judge_owner(facts(21, 210, 20), null, [agent], "boot")).toBe("agent");
  expect(judge_owner(facts(10, 100, 10), null, [agent], "boot")).toBe("supervisor");
  // Recycled pids: of the host, of the session's leader, in another boot.
  expect(judge_owner(facts(10, 999, 10), null, [agent], "boot")).toBe("other");
  expect(judge_owner(facts(21, 950, 20), facts(20, 900, 20), [agent], "boot")).toBe("other");
  expect(judge_owner(facts(21, 210, 20), leader, [agent], "another boot")).toBe("other");
  expect(judge_owner(facts(21, 150, 20), leader, [agent], "boot")).toBe("other");
  expect(judge_owner(facts(21, 210, 20), leader, [{ ...agent, status: "completed" }], "boot")).toBe("other");
});
