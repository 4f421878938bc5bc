/** The floors: what must be free to begin an agent. Agents that run go on below them; only beginnings stop. */
import type { AgentLimits } from "../../contract/agent-limits.ts";
import { available_memory, free_disk } from "../../drivers/free.ts";
import { list_mounts, mount_of } from "../../drivers/mounts.ts";
import { Lane, no_answer, within } from "../patience.ts";

/** One call at a time: a workspace that does not answer holds one file thread for this. */
const LOOKING = new Lane(1);

const megabytes = (bytes: number) => `${Math.floor(bytes / (1024 * 1024))} MB`;

/** What is short, in words for a person, or null. Rejects with `timeout` when the workspace's file system does not answer. */
export async function shortage(workspace: string, limits: AgentLimits): Promise<string | null> {
  const { min_free_disk, min_free_memory } = limits;
  if (min_free_disk > 0) {
    const late = () => no_answer(workspace, "nothing was started");
    if (LOOKING.stuck) throw late();
    const free = await within(
      LOOKING.in_turn(() => free_disk(workspace)),
      late,
    );
    if (free < min_free_disk) {
      const mount = mount_of(list_mounts(), workspace);
      return `the workspace's file system (${mount ? `${mount.type} on ${mount.point}` : workspace}) has ${megabytes(free)} free, and the floor is ${megabytes(min_free_disk)} (limits.min_free_disk); free some space there`;
    }
  }
  const available = min_free_memory > 0 ? available_memory() : null;
  if (available !== null && available < min_free_memory)
    return `the machine has ${megabytes(available)} of memory available, and the floor is ${megabytes(min_free_memory)} (limits.min_free_memory); end something`;
  return null;
}
