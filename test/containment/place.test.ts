import { describe, expect, test } from "vitest";
import { limit_files } from "../../src/containment/groups.ts";
import {
  type Containment,
  check_limits,
  find_containment,
  plan_groups,
  proven_groups,
} from "../../src/containment/place.ts";
import { NO_LIMITS } from "../../src/contract/containment.ts";

const v2 = { dir: "/cg", version: 2 as const };
const containment = (change: Partial<Containment> = {}): Containment => ({
  report: { mode: "cgroup", place: "/cg", limits: { memory: 2, pids: null, cpu: null }, detail: "" },
  directory: "supervisor-0-0123456789",
  seat: v2,
  limiters: { memory: v2, pids: { dir: "/v1/pids", version: 1 }, cpu: null },
  mounts: ["/cg", "/v1/pids"],
  ...change,
});
const ID = "agent-101112-abcdef";

describe("the groups of an agent", () => {
  test("are one of version 2, and one of version 1 for each limit that version 2 cannot set", () => {
    expect(plan_groups(containment(), ID, NO_LIMITS)).toEqual([
      { path: "/cg/supervisor-0-0123456789/101112-abcdef", version: 2, controllers: [] },
    ]);
    expect(plan_groups(containment(), ID, { ...NO_LIMITS, memory_max: 1, pids_max: 1 })).toEqual([
      { path: "/cg/supervisor-0-0123456789/101112-abcdef", version: 2, controllers: ["memory"] },
      { path: "/v1/pids/supervisor-0-0123456789/101112-abcdef", version: 1, controllers: ["pids"] },
    ]);
    expect(plan_groups(containment({ seat: null }), ID, NO_LIMITS)).toEqual([]);
  });

  test("are refused for a limit that cannot be set, with a code", () => {
    expect(() => check_limits(containment(), { ...NO_LIMITS, cpu_max: 1 })).toThrow(
      expect.objectContaining({ code: "limits_unavailable", message: expect.stringContaining("cpu_max") }),
    );
    expect(() => check_limits(containment(), { ...NO_LIMITS, memory_max: 1 })).not.toThrow();
  });

  test("are believed of a record only where they can be nobody else's", () => {
    const paths = [
      "/cg/supervisor-0-0123456789/101112-abcdef",
      "/cg",
      "/cg/supervisor-0-0123456789",
      "/cg/other/101112-abcdef",
      "/cg/supervisor-0-0123456789/999999-abcdef",
      "/elsewhere/supervisor-0-0123456789/101112-abcdef",
      "/cg/../elsewhere/supervisor-0-0123456789/101112-abcdef",
    ];
    const cgroups = paths.map((path) => ({ path, version: 2 as const, controllers: [] }));
    expect(proven_groups(containment(), { id: ID, cgroups }).map((one) => one.path)).toEqual([paths[0]]);
  });
});

test("limits are written as each version of cgroups wants them", () => {
  const limits = { memory_max: 1048576, pids_max: 7, cpu_max: 1.5 };
  const controllers = ["memory" as const, "pids" as const, "cpu" as const];
  expect(limit_files({ version: 2, controllers }, limits)).toEqual([
    ["memory.max", "1048576"],
    ["pids.max", "7"],
    ["cpu.max", "150000 100000"],
  ]);
  expect(limit_files({ version: 1, controllers }, limits)).toEqual([
    ["memory.limit_in_bytes", "1048576"],
    ["pids.max", "7"],
    ["cpu.cfs_period_us", "100000"],
    ["cpu.cfs_quota_us", "150000"],
  ]);
});

test("without cgroups by setting, nothing is probed and the report says what is not promised", () => {
  const { report, seat } = find_containment("cookie", "supervisor-0-test", { take: false });
  expect(seat).toBeNull();
  expect(report).toMatchObject({ mode: "cookie", place: null, limits: { memory: null, pids: null, cpu: null } });
  expect(report.detail).toContain("SUPERVISOR_CONTAINMENT=cookie");
  expect(report.detail).toContain("is not found");
});
