/** The control groups that an agent is started in. */
import { make_limited_group, remove_groups } from "../containment/groups.ts";
import type { CgroupRef, Limits } from "../contract/containment.ts";
import type { LaunchSpec } from "../contract/host-protocol.ts";

/** The control groups of the spec, made. One that cannot be made is a note, unless it sets a limit: then it is an error. */
export function make_groups(spec: LaunchSpec): { cgroups: CgroupRef[]; must_join: boolean; notes: string[] } {
  const planned = spec.limits ? (spec.cgroups ?? []) : [];
  const must_join = planned.some((one) => one.controllers.length > 0);
  const cgroups: CgroupRef[] = [];
  const notes: string[] = [];
  for (const group of planned) {
    try {
      make_limited_group(group, spec.limits as Limits);
      cgroups.push(group);
    } catch (error) {
      const text = `the control group ${group.path} could not be made: ${(error as Error).message}`;
      if (must_join) {
        remove_groups(cgroups);
        throw new Error(text);
      }
      notes.push(text);
    }
  }
  return { cgroups, must_join, notes };
}
