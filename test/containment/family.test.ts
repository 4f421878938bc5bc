import { describe, expect, test } from "vitest";
import { select_family } from "../../src/containment/family.ts";
import { type ProcessFacts, parse_stat } from "../../src/drivers/procfs.ts";

const leader = { pid: 100, start_time: 1000 };
const spec = { leader, cookie: "c", exclude: [50] };
const one = (pid: number, facts: Partial<ProcessFacts> = {}): ProcessFacts => ({
  pid,
  comm: "x",
  state: "S",
  ppid: 1,
  pgrp: pid,
  session: pid,
  start_time: 1000 + pid,
  ...facts,
});
const pids = (processes: ProcessFacts[], cookies: number[] = []) =>
  select_family(spec, processes, (pid) => cookies.includes(pid))
    .map((each) => each.pid)
    .sort();

describe("the family of an agent", () => {
  test("is its session, its process group, their descendants and whoever has the cookie", () => {
    const processes = [
      one(100, { start_time: 1000, session: 100, pgrp: 100 }),
      one(101, { session: 100, pgrp: 101 }),
      one(102, { session: 9, pgrp: 100 }),
      one(103, { ppid: 101 }),
      one(104, { ppid: 103 }),
      one(105),
      one(106),
    ];
    expect(pids(processes, [105])).toEqual([100, 101, 102, 103, 104, 105]);
  });

  test("is never a process that is older than the agent, excluded, or init", () => {
    const processes = [one(1, { session: 100 }), one(50, { session: 100 }), one(60, { session: 100, start_time: 999 })];
    expect(pids(processes, [1, 50, 60])).toEqual([]);
  });

  test("is not whoever got the leader's pid afterwards, nor that one's session", () => {
    const processes = [
      one(100, { start_time: 5000, session: 100, pgrp: 100 }),
      one(101, { session: 100, ppid: 100, start_time: 5001 }),
    ];
    expect(pids(processes)).toEqual([]);
  });
});

test("a command with spaces and parentheses does not shift the fields of /proc/PID/stat", () => {
  const text = "7 (a) b (c)) S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2";
  expect(parse_stat(7, text)).toEqual({
    pid: 7,
    comm: "a) b (c)",
    state: "S",
    ppid: 1,
    pgrp: 2,
    session: 3,
    start_time: 4242,
  });
});
