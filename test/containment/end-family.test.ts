import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { end_family, kill_whole_group } from "../../src/containment/end-family.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { group_members, is_populated, remove_group } from "../../src/drivers/cgroup.ts";
import { is_alive, process_ref_of } from "../../src/drivers/procfs.ts";
import { CGROUP_PLACE, end_exactly, HAS_CGROUPS, V1_PLACE } from "../support/processes.ts";
import { eventually } from "../support/supervisor.ts";

let count = 0;

describe.skipIf(!HAS_CGROUPS)("a family in a control group", () => {
  let group: string;
  let started: ProcessRef[];
  beforeEach(() => {
    group = join(CGROUP_PLACE, `end-family-${process.pid}-${count++}`);
    mkdirSync(group);
    started = [];
  });
  afterEach(async () => {
    for (const one of started) await end_exactly(one);
    await eventually("the group to be empty", () => !is_populated(group));
    rmdirSync(group);
  });

  const start = (command: string, ...args: string[]): ProcessRef & { child: ChildProcess } => {
    const child = spawn(command, args, { stdio: "ignore", detached: true });
    const ref = process_ref_of(child.pid as number) as ProcessRef;
    started.push(ref);
    return { ...ref, child };
  };
  const join_group = (one: ProcessRef) => writeFileSync(`${group}/cgroup.procs`, String(one.pid));
  const spec = (leader: ProcessRef) => ({
    leader,
    cookie: "nobody has this one",
    exclude: [process.pid],
    cgroups: [group],
  });

  test("ends as a whole, whatever else its members are to each other", async () => {
    const leader = start("sleep", "1000");
    const stranger_to_all = start("sleep", "1000");
    for (const one of [leader, stranger_to_all]) join_group(one);
    const result = await end_family(spec(leader), { signal: "SIGTERM", grace_ms: 5000 });
    expect(result.processes_ended.map((one) => one.pid).sort()).toEqual([leader.pid, stranger_to_all.pid].sort());
    expect(result).toMatchObject({ survivors: [], notes: [] });
    expect(is_populated(group)).toBe(false);
  });

  test("does not take along who was moved into the group but is older than the agent, and says that it left it", async () => {
    const person = start("sleep", "1000");
    // Start times are counted in hundredths of a second.
    await eventually("the clock to tick", () => {
      const probe = start("true");
      return probe.start_time > person.start_time;
    });
    const leader = start("sh", "-c", "trap '' TERM; while :; do sleep 1; done");
    for (const one of [person, leader]) join_group(one);
    const result = await end_family(spec(leader), { signal: "SIGTERM", grace_ms: 100 });
    expect(is_alive(leader)).toBe(false);
    expect(is_alive(person)).toBe(true);
    expect(result.signals.flatMap((one) => one.pids)).not.toContain(person.pid);
    expect(result.survivors).toEqual([]);
    expect(result.notes.join()).toContain(`sleep (${person.pid}) was moved into it`);
    expect(remove_group(group)).toBe(false);
  });

  test("is frozen, killed one by one and thawed by a kernel that cannot kill a group", async () => {
    const members = [1, 2, 3].map(() => start("sh", "-c", "trap '' TERM; while :; do sleep 1; done"));
    for (const one of members) join_group(one);
    kill_whole_group(spec(members[0] as ProcessRef), group, () => false);
    await eventually("all to be gone", () => members.every((one) => !is_alive(one)));
    await eventually("their children to be gone", () => group_members(group).length === 0);
    expect(readFileSync(`${group}/cgroup.freeze`, "utf8").trim()).toBe("0");
  });

  test("that somebody froze is thawed, so that it can obey", async () => {
    const leader = start("sleep", "1000");
    join_group(leader);
    writeFileSync(`${group}/cgroup.freeze`, "1");
    const result = await end_family(spec(leader), { signal: "SIGTERM", grace_ms: 30_000 });
    expect(result.signals.map((one) => one.signal)).toEqual(["SIGTERM"]);
    expect(is_alive(leader)).toBe(false);
  });
});

test.skipIf(!V1_PLACE)("a family in a group of version 1 is known by it, and ended one by one", async () => {
  const group = join(V1_PLACE as string, `end-family-${process.pid}-v1`);
  mkdirSync(group);
  const members = [1, 2].map(() => {
    const child = spawn("sh", ["-c", "trap '' TERM; while :; do sleep 1; done"], { stdio: "ignore", detached: true });
    const ref = process_ref_of(child.pid as number) as ProcessRef;
    onTestFinished(() => end_exactly(ref));
    writeFileSync(`${group}/cgroup.procs`, String(ref.pid));
    return ref;
  });
  const spec = { leader: members[0] as ProcessRef, cookie: "nobody has this one", exclude: [], cgroups: [group] };
  const result = await end_family(spec, { signal: "SIGTERM", grace_ms: 50 });
  expect(members.filter(is_alive)).toEqual([]);
  expect(result).toMatchObject({ survivors: [], notes: [] });
  expect(remove_group(group)).toBe(true);
});
