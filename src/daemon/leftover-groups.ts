/**
 * Removes the control groups that crashed runs, and survivors of an end, left. Only what is provably ours and empty: below a directory with this workspace's name,
 * named as agents' groups are, and of no agent that still lives. The kernel itself refuses to remove a group with somebody in it.
 */
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { remove_groups } from "../containment/groups.ts";
import { proven_groups } from "../containment/place.ts";
import type { CgroupRef } from "../contract/containment.ts";
import { is_errno } from "../contract/errors.ts";
import { short_agent_id } from "../contract/ids.ts";
import { is_populated } from "../drivers/cgroup.ts";
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
    names_in(dir)
      .filter((name) => GROUP_NAME.test(name) && !living.has(name))
      .map((name): CgroupRef => ({ path: `${dir}/${name}`, version: 2, controllers: [] }))
      .filter((one) => !is_populated(one.path)),
  );
}

export function remove_leftover_groups(services: Services): void {
  const leftovers = leftover_groups(services);
  if (leftovers.length === 0) return;
  const left = remove_groups(leftovers);
  services.log.info({ removed: leftovers.length - left.length }, "control groups of crashed runs were removed");
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

function names_in(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENODEV")) return [];
    throw error;
  }
}
