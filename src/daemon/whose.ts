/** Whose process is a holder? Asked of the kernel by pid, and answered only for the very process that the registry remembers. */
import { proven_groups } from "../containment/place.ts";
import type { AgentRecord } from "../contract/agent.ts";
import type { Holder } from "../contract/receipt.ts";
import { is_ended } from "../contract/status.ts";
import { group_members } from "../drivers/cgroup.ts";
import { boot_id, type ProcessFacts, process_ref_of, read_process } from "../drivers/procfs.ts";
import type { Services } from "./services.ts";
import type { Whose } from "./verdict.ts";

/** The daemon and the hosts are the supervisor's, a process in a living agent's session or control group is the agent's. */
export function whose_process({ registry, containment }: Services): Whose {
  const daemon = process_ref_of(process.pid);
  return (pid) => {
    const found = read_process(pid);
    if (!found) return "other";
    if (found.pid === daemon?.pid) return "supervisor";
    const agents = registry.agents();
    const owner = judge_owner(found, read_process(found.session), agents, boot_id());
    const contained = (agent: AgentRecord) =>
      proven_groups(containment, agent).some((group) =>
        group_members(group.path).some((one) => one.pid === pid && one.start_time === found.start_time),
      );
    return owner === "other" && agents.some((agent) => !is_ended(agent.status) && contained(agent)) ? "agent" : owner;
  };
}

/**
 * The pids of hosts that this daemon is connected with: they run our own program, which opens nothing by its path alone (O_PATH) and takes no descriptors from
 * anybody, so that what they have is what a lease tells. A connection ends with its host, before anybody else can have its pid.
 */
export function connected_hosts({ registry, hosts }: Pick<Services, "registry" | "hosts">): number[] {
  const boot = boot_id();
  return registry.agents().flatMap(({ id, host }) => (host?.boot_id === boot && hosts.has(id) ? [host.pid] : []));
}

/**
 * The pure part. `leader` is whoever has the session's id as pid now, or null. A session's id is given away only when nobody of the session is
 * left (setsid(2), `struct pid` reference counting), so a leader that started at another time than the agent means another session.
 */
export function judge_owner(
  found: ProcessFacts,
  leader: ProcessFacts | null,
  agents: readonly Pick<AgentRecord, "host" | "process" | "status">[],
  boot: string,
): Holder["whose"] {
  const of_this_boot = agents.filter((agent) => agent.host?.boot_id === boot);
  if (of_this_boot.some(({ host }) => host?.pid === found.pid && host.start_time === found.start_time))
    return "supervisor";
  const theirs = of_this_boot.some(
    ({ process: agent, status }) =>
      agent?.pid === found.session &&
      !is_ended(status) &&
      found.start_time >= agent.start_time &&
      (!leader || leader.start_time === agent.start_time),
  );
  return theirs ? "agent" : "other";
}
