/**
 * Removes the control groups that crashed runs, and survivors of an end, left. Only what is provably ours and empty: this workspace's directory, and what is below it,
 * named as agents' groups are, and of no agent that still lives. The kernel itself refuses to remove a group with somebody in it.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { remove_groups } from "../containment/groups.ts";
import { proven_groups } from "../containment/place.ts";
import type { CgroupRef } from "../contract/containment.ts";
import { is_errno } from "../contract/errors.ts";
import { short_agent_id } from "../contract/ids.ts";
import { is_populated, remove_childless } from "../drivers/cgroup.ts";
import { is_unfinished } from "./ending/end.ts";
import type { Services } from "./services.ts";

/** What `short_agent_id` makes. */
const GROUP_NAME = /^\d{6}-[0-9a-f]{6}$/;

/** Empty groups of agents that are over. */
export function leftover_groups({ containment, registry }: Services): CgroupRef[] {
  const living = new Set(
    registry
      .agents()
      .filter(is_unfinished)
      .map((one) => short_agent_id(one.id)),
  );
  return [...directories(containment, registry)].flatMap((dir) =>
    groups_in(dir)
      .filter((name) => GROUP_NAME.test(name) && !living.has(name))
      .map((name): CgroupRef => ({ path: `${dir}/${name}`, version: 2, controllers: [] }))
      .filter((one) => !is_populated(one.path)),
  );
}

/** This workspace's directories with no group in them: the last one was removed, or the first one not made yet, when its host was killed. */
export function bare_directories({ containment, registry }: Services): string[] {
  return [...directories(containment, registry)].filter(
    (dir) => existsSync(dir) && groups_in(dir).length === 0 && !is_populated(dir),
  );
}

export function remove_leftover_groups(services: Services): void {
  const leftovers = leftover_groups(services);
  const left = remove_groups(leftovers);
  // Not with the groups in it: a host may just be making one, and makes the directory again.
  const bare = bare_directories(services).filter(remove_childless);
  const removed = leftovers.length - left.length + bare.length;
  if (removed > 0) services.log.info({ removed }, "control groups of crashed runs were removed");
}

/** Where this daemon's groups are made, and where those of earlier ones are that the registry remembers. */
function directories(containment: Services["containment"], registry: Services["registry"]): Set<string> {
  const { seat, limiters, directory } = containment;
  const seats = [seat, ...Object.values(limiters)]
    .filter((one) => one !== null)
    .map((one) => `${one.dir}/${directory}`);
  const remembered = registry
    .agents()
    .flatMap((agent) => proven_groups(containment, agent).map((one) => dirname(one.path)));
  return new Set([...seats, ...remembered]);
}

/** The names of the groups in it. */
function groups_in(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((one) => one.isDirectory())
      .map((one) => one.name);
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENODEV")) return [];
    throw error;
  }
}
