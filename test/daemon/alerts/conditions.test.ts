import { expect, test } from "vitest";
import { agent_record } from "../../../src/contract/agent.ts";
import { alerts_config } from "../../../src/contract/alert.ts";
import { receipt } from "../../../src/contract/receipt.ts";
import { conditions_of, type Facts, key_of } from "../../../src/daemon/alerts/conditions.ts";

const agent = agent_record.parse({ id: "a-000000-000000", status: "running" });
const facts = (some: Partial<Facts>): Facts => ({
  now_ms: 0,
  agents: [agent],
  host_states: new Map(),
  ends: new Map(),
  disk_free_bytes: 1e12,
  config: alerts_config.parse({ disk_free_bytes: 1000 }),
  ...some,
});
const keys = (some: Partial<Facts>, held: string[] = []) => conditions_of(facts(some), new Set(held)).map(key_of);

test("a low disk holds until there is a tenth more than the floor, and while nobody can tell", () => {
  expect(keys({ disk_free_bytes: 1000 })).toEqual([]);
  expect(keys({ disk_free_bytes: 999 })).toEqual(["disk_low "]);
  expect(keys({ disk_free_bytes: 1050 }, ["disk_low "])).toEqual(["disk_low "]);
  expect(keys({ disk_free_bytes: 1100 }, ["disk_low "])).toEqual([]);
  expect(keys({ disk_free_bytes: null }, ["disk_low "])).toEqual(["disk_low "]);
  expect(keys({ disk_free_bytes: null })).toEqual([]);
});

test("an end that waits holds while it is tried again, and is over when it is complete", () => {
  const key = `end_waiting ${agent.id}`;
  expect(keys({ ends: new Map([[agent.id, null]]) })).toEqual([]);
  expect(keys({ ends: new Map([[agent.id, "a full disk"]]) })).toEqual([key]);
  expect(keys({ ends: new Map([[agent.id, null]]) }, [key])).toEqual([key]);
  expect(keys({}, [key])).toEqual([]);
});

test("a host that does not answer is the matter, unless its agent has ended", () => {
  const host_states = new Map([
    [agent.id, { state: "unresponsive" as const, reason: "no answer in 2 s", since_ms: 0 }],
  ]);
  expect(keys({ host_states })).toEqual([`host_silent ${agent.id}`]);
  expect(keys({ host_states, agents: [{ ...agent, status: "lost" }] })).toEqual([]);
  expect(
    keys({ host_states: new Map([[agent.id, { state: "connected" as const, reason: "", since_ms: 0 }]]) }),
  ).toEqual([]);
});

test.each(["unreachable", "mistrusted"] as const)(
  "a host that is %s is the matter once it had the time to die, and then until it is reached",
  (state) => {
    const key = `host_silent ${agent.id}`;
    const host_states = new Map([[agent.id, { state, reason: "it lives", since_ms: 10_000 }]]);
    expect(keys({ host_states, now_ms: 11_999 })).toEqual([]);
    expect(keys({ host_states, now_ms: 12_000 })).toEqual([key]);
    expect(keys({ host_states, now_ms: 10_500 }, [key])).toEqual([key]);
  },
);

test("files that wait are the matter when the end is long ago, and when nobody can read when it was", () => {
  const file = { path: "/a/log", trash_path: "/a/trash/log", verdict: "held", holders: [] };
  const waiting = (ended_at: string) => ({
    ...agent,
    status: "completed" as const,
    cleanup_state: "deferred" as const,
    receipt: receipt.parse({
      success: true,
      agent_id: agent.id,
      tmux_session: null,
      session_killed: true,
      reason: "it exited",
      status: "completed",
      cleanup: {
        files_deleted: [],
        files_archived: [],
        files_kept: [],
        files_deferred: [file],
        files_failed: [],
        bytes_freed: 0,
        bytes_logged: 0,
        bytes_read: 0,
        handles: "held",
        processes_ended: [],
        survivors: [],
        duration_ms: {},
      },
      cause: "exited",
      exit: { code: 0, signal: null, at: null },
      signals: [],
      ended_at,
      amended_at: null,
      notes: [],
    }),
  });
  const now_ms = Date.parse("2026-01-01T02:00:00Z");
  const told = (ended_at: string) => keys({ now_ms, agents: [waiting(ended_at)] });
  expect(told("2026-01-01T01:00:00Z")).toEqual([]);
  expect(told("2026-01-01T00:59:59Z")).toEqual([`cleanup_deferred ${agent.id}`]);
  expect(told("yesterday, I think")).toEqual([`cleanup_deferred ${agent.id}`]);
});
