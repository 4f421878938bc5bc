/** `supervisor verify`: lsof's word on tracked files, of one agent or of all. */

import { access } from "node:fs/promises";
import type { AgentRecord } from "../contract/agent.ts";
import type { Answer } from "../contract/operations.ts";
import { is_ended } from "../contract/status.ts";
import type { Services } from "./services.ts";

/** Reports on each tracked file where it is now. Fails (`success: false`) when an ended agent's file is held, or nobody can tell. */
export async function verify_agents(services: Services, agents: AgentRecord[]): Promise<Answer<"verify">> {
  const places = agents.flatMap((agent) => {
    const moved = new Map((agent.ending?.set_aside ?? []).map((file) => [file.role, file.trash_path]));
    return Object.entries(agent.tracked_files).map(([role, path]) => ({ agent, role, path: moved.get(role) ?? path }));
  });
  const verdicts = await services.verifier.verify(places.map((one) => one.path));
  const files = await Promise.all(
    places.map(async ({ agent, role, path }, index) => {
      const { verdict, holders, reason } = verdicts[index] as (typeof verdicts)[number];
      const exists = await access(path).then(
        () => true,
        () => false,
      );
      return { agent_id: agent.id, status: agent.status, role, path, exists, verdict, holders, reason };
    }),
  );
  return { success: files.every((file) => !is_ended(file.status) || file.verdict === "clear"), files };
}
