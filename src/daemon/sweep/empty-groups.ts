/** Control groups of agents that are over, with nobody in them; the kernel itself refuses to remove one with somebody in it. */
import { remove_groups } from "../../containment/groups.ts";
import { leftover_groups } from "../leftover-groups.ts";
import type { Sweep } from "./sweep.ts";

export async function empty_groups(sweep: Sweep): Promise<void> {
  for (const group of leftover_groups(sweep.services)) {
    const found = { what: "empty_group", path: group.path, why: "nobody is in it, and its agent is over" } as const;
    await sweep.dispose(found, async () => {
      if (remove_groups([group]).length > 0) throw new Error("somebody is in it again");
    });
  }
}
