import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { born_since, type Counts, mark_birth } from "../../src/drivers/pid-order.ts";
import { list_processes, process_ref_of } from "../../src/drivers/procfs.ts";

const sleeper = async () => {
  const child = spawn("sleep", ["100"]);
  await once(child, "spawn");
  return { pid: child.pid as number, end: () => Promise.all([once(child, "exit"), child.kill()]) };
};
const counts = (more: Partial<Counts>): Counts => ({
  last_pid: 2_000,
  pid_max: 32_768,
  forks: 10_000,
  tasks: 200,
  ...more,
});

test("A process that was there before is older by its pid, and one that came afterwards is younger", async () => {
  const [before, leader] = [await sleeper(), await sleeper()];
  const birth = mark_birth(leader.pid);
  const after = await sleeper();
  try {
    if (!birth) throw new Error("this kernel does not tell the last pid (ns_last_pid)");
    const may_be = born_since(birth);
    expect([before, leader, after].map(({ pid }) => may_be?.(pid))).toEqual([false, true, true]);
    const since = process_ref_of(leader.pid)?.start_time;
    const all = list_processes(since).map((one) => one.pid);
    const quick = list_processes(since, birth).map((one) => one.pid);
    expect(quick).toContain(after.pid);
    // Others come and go: who was there before the second list and is there after it must be in it, and whoever is in it of those born meanwhile was there before.
    const later = list_processes(since).map((one) => one.pid);
    const of_these = (pids: number[]) => pids.filter((pid) => pid >= leader.pid && pid <= after.pid);
    expect(of_these(quick)).toEqual(expect.arrayContaining(of_these(all).filter((pid) => later.includes(pid))));
    expect(of_these(all)).toEqual(expect.arrayContaining(of_these(quick)));
  } finally {
    await Promise.all([before, leader, after].map((one) => one.end()));
  }
});

test("Pids that began again from the smallest are younger than one at the end", () => {
  const may_be = born_since({ pid: 32_700, forks: 9_500 }, counts({ last_pid: 400 }));
  expect([32_700, 32_767, 300, 400].map((pid) => may_be?.(pid))).toEqual([true, true, true, true]);
  expect([401, 5_000, 32_699].map((pid) => may_be?.(pid))).toEqual([false, false, false]);
});

test("Nothing is said when so many were born since that pids may have come round", () => {
  expect(born_since({ pid: 1_000, forks: 10_000 - 14_000 }, counts({}))).not.toBeNull();
  expect(born_since({ pid: 1_000, forks: 10_000 - 16_000 }, counts({}))).toBeNull();
  expect(born_since({ pid: 1_000, forks: 9_000 }, counts({ tasks: 20_000 }))).toBeNull();
});

test("Nothing is said by counts that go backwards, or that do not belong to the pid", () => {
  expect(born_since({ pid: 1_000, forks: 90_000 }, counts({}))).toBeNull();
  expect(mark_birth(process.pid + 20_000)).toBeNull();
});

test("Nothing is said where the kernel does not tell", () => {
  expect(born_since({ pid: 1_000, forks: 10_000 }, null)).toBeNull();
});
