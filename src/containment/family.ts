/**
 * Whose process is it? A process belongs to an agent if it is in the agent's control group, session or process group, descends from
 * such a process, or was started with the agent's cookie in its environment. Always pid and start time; never a name.
 */

import type { ProcessRef } from "../contract/receipt.ts";
import { group_members } from "../drivers/cgroup.ts";
import type { Birth } from "../drivers/pid-order.ts";
import { list_processes, type ProcessFacts, was_started_with } from "../drivers/procfs.ts";

/** The environment variable that carries the cookie. */
export const COOKIE_VARIABLE = "SUPERVISOR_COOKIE";

/** What is known of an agent, by which its family is found. */
export interface FamilySpec {
  /** The agent's own process: leader of its session and its process group. Null when it never came to life. */
  leader: ProcessRef | null;
  cookie: string;
  /** The leader's birth, for a look that need not read of everybody; absent where it is not known. */
  birth?: Birth | null;
  /** Never part of the family, whatever their environment says: the host itself, the daemon. */
  exclude: readonly number[];
  /** The directories of the agent's control groups; absent or empty where there are none. */
  cgroups?: readonly string[];
}

/** The agent's living processes. Zombies are dead: they hold nothing and obey nobody. */
export function find_family(spec: FamilySpec): ProcessFacts[] {
  // Whoever is older than the agent is not of its family, and nobody older can have its pid.
  const processes = list_processes(spec.leader?.start_time, spec.birth).filter(
    (one) => one.state !== "Z" && one.state !== "X",
  );
  // After the list: whoever was born meanwhile is in its parent's group.
  const contained = (spec.cgroups ?? []).flatMap(group_members);
  return select_family(spec, processes, (pid) => was_started_with(pid, `${COOKIE_VARIABLE}=${spec.cookie}`), contained);
}

/**
 * True for a process that cannot be the agent's, whatever group it is in: one of the supervisor's own, or one that is older than the
 * agent. It was moved into the group by somebody who may do so.
 */
export function is_stranger(spec: FamilySpec, one: ProcessRef): boolean {
  return (
    one.pid <= 1 || spec.exclude.includes(one.pid) || (spec.leader !== null && one.start_time < spec.leader.start_time)
  );
}

/** The pure part of `find_family`: facts come in as arguments. */
export function select_family(
  spec: FamilySpec,
  processes: readonly ProcessFacts[],
  has_cookie: (pid: number) => boolean,
  contained: readonly ProcessFacts[] = [],
): ProcessFacts[] {
  const members = new Map<number, ProcessFacts>();
  for (const one of contained) if (!is_stranger(spec, one)) members.set(one.pid, one);
  const candidates = processes.filter((one) => one.pid > 1 && !spec.exclude.includes(one.pid));
  const { leader } = spec;
  if (leader && !is_recycled(leader, processes)) {
    for (const one of candidates) {
      const by_id = one.pid === leader.pid || one.session === leader.pid || one.pgrp === leader.pid;
      if (by_id && one.start_time >= leader.start_time) members.set(one.pid, one);
    }
  }
  for (const one of candidates) {
    if (members.has(one.pid) || is_stranger(spec, one)) continue;
    if (has_cookie(one.pid)) members.set(one.pid, one);
  }
  add_descendants(members, candidates);
  return [...members.values()];
}

/**
 * The kernel does not give a pid away while it is still the id of a session or group with members (pid_namespaces and
 * `struct pid` reference counting); so when another process has the leader's pid, nobody of the old session is left.
 */
function is_recycled(leader: ProcessRef, processes: readonly ProcessFacts[]): boolean {
  return processes.some((one) => one.pid === leader.pid && one.start_time !== leader.start_time);
}

function add_descendants(members: Map<number, ProcessFacts>, candidates: readonly ProcessFacts[]): void {
  for (let grown = true; grown; ) {
    grown = false;
    for (const one of candidates) {
      const parent = members.get(one.ppid);
      if (!parent || members.has(one.pid) || one.start_time < parent.start_time) continue;
      members.set(one.pid, one);
      grown = true;
    }
  }
}
