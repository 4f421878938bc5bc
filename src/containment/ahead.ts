/**
 * The kernel lets a process join a control group only after a grace period of RCU (7 to 25 ms, seen with Linux 6.18), in which every processor must
 * have gone through its scheduler once. Whoever joins shortly after another join does not wait: for about 10 ms the kernel is still prepared (rcu_sync;
 * cgroup_threadgroup_rwsem). So a host that is about to start an agent joins the very group that it is in, which changes nothing, and the wait
 * goes by while the agent's registry entry and files are written.
 */
import { writeFile } from "node:fs/promises";
import { read_hierarchies } from "../drivers/cgroup-hierarchies.ts";

/** Resolves when the kernel is prepared. Rejects when this process may not write to its own group: then the agent's join waits, as ever. */
export async function prepare_join(): Promise<void> {
  const own = read_hierarchies().find((one) => one.version === 2)?.own;
  // 0 is whoever writes it (cgroups(7)).
  if (own) await writeFile(`${own}/cgroup.procs`, "0", { flag: "r+" });
}
