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
  expect(() => look_up([old, recent], "agent")).toThrow(
    "agent fits 5 agents, 1 living (agent-150000-eeeeee, agent-110000-aaaaaa, agent-120000-bbbbbb, …); type more of the id",
  );
  expect(() => look_up([old], "agent")).toThrow("agent fits 3 agents, 0 living");
});
