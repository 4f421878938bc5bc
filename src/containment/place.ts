/**
 * Where agents' control groups are made on this machine, and which limits can be set there. Looked at once when a daemon starts, and
 * by `doctor`. Groups are made below the supervisor's own, so that whatever confines the supervisor confines its agents too.
 */
import { basename, dirname, normalize } from "node:path";
import type { CgroupRef, ContainmentReport, Controller, Limits } from "../contract/containment.ts";
import { SupervisorError } from "../contract/errors.ts";
import { short_agent_id } from "../contract/ids.ts";
import { read_group_file, write_group_file } from "../drivers/cgroup.ts";
import { type Hierarchy, read_hierarchies, why_not_writable } from "../drivers/cgroup-hierarchies.ts";

/** The leaf that holds a delegated service's own processes (systemd's DelegateSubgroup=): the agents' groups go beside it. */
const OWN_LEAF = "supervisor";

const CONTROLLERS = ["memory", "pids", "cpu"] as const;
const ASKED: Record<Controller, keyof Limits> = { memory: "memory_max", pids: "pids_max", cpu: "cpu_max" };

interface Seat {
  /** The directory below which the workspace's directory is made. */
  dir: string;
  version: 1 | 2;
}

export interface Containment {
  report: ContainmentReport;
  /** Name of the workspace's directory in each hierarchy. */
  directory: string;
  /** The hierarchy of version 2 that contains every agent, or null. */
  seat: Seat | null;
  /** Where each kind of limit can be set. */
  limiters: Record<Controller, Seat | null>;
  /** Where groups of earlier daemons of this workspace may be as well. */
  mounts: string[];
}

/** Finds out. With `take` a controller that is there but not switched on for children is switched on. */
export function find_containment(
  setting: "auto" | "cookie",
  directory: string,
  { take }: { take: boolean },
): Containment {
  const hierarchies = read_hierarchies();
  const mounts = hierarchies.map((one) => one.mount);
  const limiters: Containment["limiters"] = { memory: null, pids: null, cpu: null };
  if (setting === "cookie") {
    const why = "SUPERVISOR_CONTAINMENT=cookie asks for no control groups";
    return { report: report_of(null, limiters, why), directory, seat: null, limiters, mounts };
  }
  const probe = `${directory}.probe-${process.pid}`;
  const { seat, why } = find_seat(hierarchies, probe);
  if (seat) for (const one of controllers_for_children(seat.dir, take)) limiters[one] = seat;
  for (const one of CONTROLLERS) limiters[one] ??= find_limiter(hierarchies, one, probe);
  return { report: report_of(seat, limiters, why), directory, seat, limiters, mounts };
}

function find_seat(hierarchies: Hierarchy[], probe: string): { seat: Seat | null; why: string } {
  const unified = hierarchies.find((one) => one.version === 2);
  if (!unified) return { seat: null, why: "no cgroup v2 hierarchy is mounted here" };
  const dir = basename(unified.own) === OWN_LEAF && unified.own !== unified.mount ? dirname(unified.own) : unified.own;
  const errno = why_not_writable(dir, probe);
  if (errno) return { seat: null, why: `no control group can be made in ${dir} (${errno})` };
  return { seat: { dir, version: 2 }, why: "" };
}

/** The controllers that groups made in this directory would have. */
function controllers_for_children(dir: string, take: boolean): Controller[] {
  const words = (name: string) => (read_group_file(dir, name) ?? "").split(" ");
  const there = CONTROLLERS.filter((one) => words("cgroup.controllers").includes(one));
  const on = () => there.filter((one) => words("cgroup.subtree_control").includes(one));
  if (!take || on().length === there.length) return on();
  for (const one of there) {
    try {
      write_group_file(dir, "cgroup.subtree_control", `+${one}`);
    } catch {
      // EBUSY: processes are in this very group. EACCES, EPERM, EROFS: not ours to switch. What is on afterwards is what counts.
    }
  }
  return on();
}

function find_limiter(hierarchies: Hierarchy[], controller: Controller, probe: string): Seat | null {
  const found = hierarchies.find((one) => one.version === 1 && one.controllers.includes(controller));
  return found && why_not_writable(found.own, probe) === null ? { dir: found.own, version: 1 } : null;
}

function report_of(seat: Seat | null, limiters: Containment["limiters"], why: string): ContainmentReport {
  const limits = Object.fromEntries(CONTROLLERS.map((one) => [one, limiters[one]?.version ?? null]));
  const able = CONTROLLERS.filter((one) => limiters[one]).map((one) => `${one} (v${limiters[one]?.version})`);
  const promise = seat
    ? `control groups in ${seat.dir}: no descendant escapes, double-forked and without its environment included, unless it writes itself into another group`
    : `by session, process group, process tree and environment cookie: a process that leaves all four (a double fork into a session of its own with a scrubbed environment) is not found, and only named if it holds a file; ${why}`;
  const said = able.length > 0 ? `limits: ${able.join(", ")}` : "no limits can be set";
  return {
    mode: seat ? "cgroup" : "cookie",
    place: seat?.dir ?? null,
    limits: limits as ContainmentReport["limits"],
    detail: `${promise}; ${said}`,
  };
}

const asked_for = (limits: Limits) => CONTROLLERS.filter((one) => limits[ASKED[one]] !== null);

/** Throws `limits_unavailable` when a limit is asked for that cannot be set. */
export function check_limits({ limiters }: Containment, limits: Limits): void {
  const missing = asked_for(limits).filter((one) => !limiters[one]);
  if (missing.length > 0)
    throw new SupervisorError(
      "limits_unavailable",
      `${missing.map((one) => ASKED[one]).join(", ")} cannot be set: the supervisor may not use the ${missing.join(" and ")} controller of cgroups here; docs/containment.md says how it is given, or deploy without that limit`,
    );
}

/** The groups an agent is to have. Its limits must have passed `check_limits`. Pure. */
export function plan_groups({ seat, limiters, directory }: Containment, agent_id: string, limits: Limits): CgroupRef[] {
  const asked = asked_for(limits);
  const seats = new Map<string, Seat>();
  for (const one of [seat, ...asked.map((name) => limiters[name])]) if (one) seats.set(one.dir, one);
  return [...seats.values()].map(({ dir, version }) => ({
    path: `${dir}/${directory}/${short_agent_id(agent_id)}`,
    version,
    controllers: asked.filter((one) => limiters[one]?.dir === dir),
  }));
}

/**
 * The groups that a record names and that can only be this agent's: by its name, in this workspace's directory, inside a cgroup mount. A
 * record that was edited, or comes from another machine, must not lead to anybody else's group.
 */
export function proven_groups(
  containment: Pick<Containment, "directory" | "mounts">,
  agent: { id: string; cgroups: readonly CgroupRef[] },
): CgroupRef[] {
  return agent.cgroups.filter(
    ({ path }) =>
      basename(path) === short_agent_id(agent.id) &&
      basename(dirname(path)) === containment.directory &&
      normalize(path) === path &&
      containment.mounts.some((mount) => path.startsWith(`${mount}/`)),
  );
}

/** The groups of an agent whose record may have lost them: those it names, and those that would be made for it here. Some may not exist. */
export function possible_groups(
  containment: Containment,
  agent: { id: string; cgroups: readonly CgroupRef[] },
): CgroupRef[] {
  const { seat, limiters, directory } = containment;
  const seats = [seat, ...Object.values(limiters)].filter((one) => one !== null);
  const planned = seats.map(
    ({ dir, version }): CgroupRef => ({
      path: `${dir}/${directory}/${short_agent_id(agent.id)}`,
      version,
      controllers: [],
    }),
  );
  const all = [...proven_groups(containment, agent), ...planned];
  return [...new Map(all.map((one) => [one.path, one])).values()];
}
