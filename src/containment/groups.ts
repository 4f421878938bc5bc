/** An agent's control groups: made with their limits before it starts, asked what it uses, removed when nobody is in them. */
import { dirname } from "node:path";
import type { CgroupRef, Limits, Usage } from "../contract/containment.ts";
import { is_errno } from "../contract/errors.ts";
import {
  group_members,
  make_group,
  read_group_file,
  read_group_key,
  remove_childless,
  remove_group,
  write_group_file,
} from "../drivers/cgroup.ts";
import { read_usage } from "../drivers/procfs.ts";
import { type FamilySpec, find_family } from "./family.ts";

/** The period of a CPU limit, in µs: the kernel's default (cpu.max, cpu.cfs_period_us). The quota is at least 1 ms, which it demands. */
const CPU_PERIOD_USEC = 100_000;
const CPU_QUOTA_LEAST_USEC = 1_000;

/** A neighbour that ends at this moment removes the workspace's directory when it was the last in it. So often it is made again. */
const TRIES = 10;

/** Makes the group and sets its limits. Throws the system's error; then nothing of it is left. */
export function make_limited_group(group: CgroupRef, limits: Limits): void {
  make_with_parent(group.path);
  try {
    const parent = dirname(group.path);
    if (group.version === 2)
      for (const one of group.controllers) write_group_file(parent, "cgroup.subtree_control", `+${one}`);
    for (const [file, value] of limit_files(group, limits)) write_group_file(group.path, file, value);
  } catch (error) {
    remove_groups([group]);
    throw error;
  }
}

function make_with_parent(path: string): void {
  for (let left = TRIES; ; left--) {
    make_group(dirname(path));
    try {
      make_group(path);
      return;
    } catch (error) {
      if (left === 0 || !is_errno(error, "ENOENT")) throw error;
    }
  }
}

/** Which files set a group's limits, and to what. Pure. */
export function limit_files(group: Pick<CgroupRef, "version" | "controllers">, limits: Limits): [string, string][] {
  const files: [string, string][] = [];
  const v2 = group.version === 2;
  for (const one of group.controllers) {
    if (one === "memory") files.push([v2 ? "memory.max" : "memory.limit_in_bytes", String(limits.memory_max)]);
    if (one === "pids") files.push(["pids.max", String(limits.pids_max)]);
    if (one === "cpu") {
      const quota = Math.max(CPU_QUOTA_LEAST_USEC, Math.round((limits.cpu_max as number) * CPU_PERIOD_USEC));
      if (v2) files.push(["cpu.max", `${quota} ${CPU_PERIOD_USEC}`]);
      else files.push(["cpu.cfs_period_us", String(CPU_PERIOD_USEC)], ["cpu.cfs_quota_us", String(quota)]);
    }
  }
  return files;
}

/** Removes the groups, and the workspace's directory with the last one. Returns those that are still populated. */
export function remove_groups(groups: readonly CgroupRef[]): CgroupRef[] {
  const left = groups.filter((one) => !remove_group(one.path));
  for (const one of groups) remove_childless(dirname(one.path));
  return left;
}

/** How many processes of these groups the kernel has killed for want of memory; counts whatever killer chose them. */
export function count_oom_kills(groups: readonly CgroupRef[]): number {
  const counts = groups.map((one) =>
    one.version === 2
      ? read_group_key(one.path, "memory.events", "oom_kill")
      : read_group_key(one.path, "memory.oom_control", "oom_kill"),
  );
  return Math.max(0, ...counts.map((one) => one ?? 0));
}

/** What a receipt must say of an agent's groups. Pure. */
export function end_notes(
  notes: readonly string[],
  oom_kills: number,
  limits: Limits | undefined,
  populated: readonly CgroupRef[],
): string[] {
  const limit = limits?.memory_max ? ` (its limit is ${limits.memory_max} bytes)` : "";
  const one = oom_kills === 1;
  return [
    ...notes,
    ...(oom_kills > 0
      ? [`out of memory: the kernel killed ${oom_kills} ${one ? "process" : "processes"} of the agent${limit}`]
      : []),
    ...(notes.length > 0 ? [] : populated.map(({ path }) => `the control group ${path} could not be removed yet`)),
  ];
}

/** What the agent uses now: by its groups where they know, else by adding its living processes up. */
export function measure_usage(spec: FamilySpec, groups: readonly CgroupRef[]): Usage {
  const number = (name: string) => {
    const text = groups.map((one) => read_group_file(one.path, name)).find((one) => one !== null);
    return text === undefined || text === null ? null : Number(text);
  };
  const family = groups.length > 0 ? groups.flatMap((one) => group_members(one.path)) : find_family(spec);
  const processes = [...new Map(family.map((one) => [one.pid, one])).values()];
  const used = processes.map(read_usage).filter((one) => one !== null);
  const cpu =
    groups.map((one) => read_group_key(one.path, "cpu.stat", "usage_usec")).find((one) => one !== null) ?? null;
  const memory = number("memory.current") ?? number("memory.usage_in_bytes");
  return {
    cpu_usec: cpu ?? used.reduce((sum, one) => sum + one.cpu_usec, 0),
    cpu_source: cpu === null ? "processes" : "cgroup",
    memory_bytes: memory ?? used.reduce((sum, one) => sum + one.memory_bytes, 0),
    memory_source: memory === null ? "processes" : "cgroup",
    memory_peak_bytes: number("memory.peak") ?? number("memory.max_usage_in_bytes"),
    processes: processes.length,
    oom_kills: count_oom_kills(groups),
  };
}
