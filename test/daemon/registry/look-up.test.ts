import { expect, test } from "vitest";
import type { AgentRecord } from "../../../src/contract/agent.ts";
import type { Journal } from "../../../src/daemon/registry/journal.ts";
import type { Entry } from "../../../src/daemon/registry/journal-lines.ts";
import { look_up } from "../../../src/daemon/registry/look-up.ts";

/** A task with these agents, and these that have left, which counts how often all of the latter are gone through. */
function task_with(ids: string[], left: string[]) {
  const looks = { count: 0 };
  const entries = new Map(left.map((id) => [id, { id } as Entry]));
  const journal = {
    get: (id: string) => entries.get(id),
    entries() {
      looks.count += 1;
      return entries.values();
    },
  } as unknown as Journal;
  const agents = new Map(ids.map((id) => [id, { id } as AgentRecord]));
  return { agents, journal, looks };
}

test("a whole id is found in the last task without going through all who left the others", () => {
  const old = task_with([], ["agent-120000-aaaaaa", "agent-120001-bbbbbb"]);
  const recent = task_with(["agent-120000-cccccc"], ["agent-120000-dddddd"]);
  expect(look_up([old, recent], "agent-120000-cccccc")).toEqual({ agent: { id: "agent-120000-cccccc" } });
  expect(look_up([old, recent], "agent-120000-dddddd")).toEqual({ task: recent, left: { id: "agent-120000-dddddd" } });
  expect(old.looks.count + recent.looks.count).toBe(0);
});

test("a whole id counts more than the beginning of another one, whichever task they are in", () => {
  const first = task_with(["agent-1-long"], []);
  const second = task_with(["agent-1"], []);
  expect(look_up([first, second], "agent-1")).toEqual({ agent: { id: "agent-1" } });
});

test("the beginning of an id finds the only one that begins so, running or left", () => {
  const first = task_with(["agent-120000-aaaaaa"], ["agent-130000-bbbbbb"]);
  const second = task_with([], ["agent-140000-cccccc"]);
  expect(look_up([first, second], "agent-12")).toMatchObject({ agent: { id: "agent-120000-aaaaaa" } });
  expect(look_up([first, second], "agent-14")).toMatchObject({ left: { id: "agent-140000-cccccc" } });
  expect(() => look_up([first, second], "agent-1")).toThrow("fits 3 agents");
});

test("of several that fit, those that live are named first: the others may be hundreds", () => {
  const old = task_with([], ["agent-110000-aaaaaa", "agent-120000-bbbbbb", "agent-130000-cccccc"]);
  const recent = task_with(["agent-140000-dddddd", "agent-150000-eeeeee"], []);
  for (const [id, status] of [
    ["agent-140000-dddddd", "completed"],
    ["agent-150000-eeeeee", "running"],
  ] as const)
    recent.agents.set(id, { id, status } as AgentRecord);
  expect(() => look_up([old, recent], "agent-1")).toThrow(
    "agent-1 fits 5 agents, 1 living (agent-150000-eeeeee, agent-110000-aaaaaa, agent-120000-bbbbbb, …); type more of the id",
  );
  expect(() => look_up([old], "agent")).toThrow("agent fits 3 agents, 0 living");
});

test("a whole type means the only one of that type that lives, and nobody where several do, or none", () => {
  const old = task_with([], ["claude-110000-aaaaaa", "claude-review-110000-bbbbbb"]);
  const recent = task_with(["claude-140000-dddddd", "claude-150000-eeeeee", "claude-review-150000-ffffff"], []);
  const become = (id: string, status: string, cookie: string | null = "c") =>
    recent.agents.set(id, { id, status, cookie } as AgentRecord);
  become("claude-140000-dddddd", "completed");
  const living = become("claude-150000-eeeeee", "running").get("claude-150000-eeeeee");
  become("claude-review-150000-ffffff", "running");
  expect(look_up([old, recent], "claude")).toMatchObject({ agent: living });
  expect(() => look_up([old, recent], "claude-1")).toThrow("claude-1 fits 3 agents, 1 living");
  become("claude-140000-dddddd", "running");
  expect(() => look_up([old, recent], "claude")).toThrow("claude fits 5 agents, 3 living");
  become("claude-140000-dddddd", "completed");
  // Another program's: whether it runs, nobody knows.
  become("claude-150000-eeeeee", "running", null);
  expect(() => look_up([old, recent], "claude")).toThrow("claude fits 5 agents, 1 living");
});
