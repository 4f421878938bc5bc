/** Control groups of agents that are over, with nobody in them, and directories with no group; the kernel itself refuses to remove one with somebody in it. */
import { remove_groups } from "../../containment/groups.ts";
import { remove_childless } from "../../drivers/cgroup.ts";
import { bare_directories, leftover_groups } from "../leftover-groups.ts";
import type { Sweep } from "./sweep.ts";

export async function empty_groups(sweep: Sweep): Promise<void> {
  for (const group of leftover_groups(sweep.services)) {
    const found = { what: "empty_group", path: group.path, why: "nobody is in it, and its agent is over" } as const;
    await sweep.dispose(found, async () => {
      if (remove_groups([group]).length > 0) throw new Error("somebody is in it again");
    });
  }
  for (const path of bare_directories(sweep.services)) {
    await sweep.dispose({ what: "empty_group", path, why: "no group is in it" }, async () => {
      if (!remove_childless(path)) throw new Error("a group is in it again");
    });
  }
}
