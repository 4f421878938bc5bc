/** `supervisor verify`: lsof's word on tracked files, of one agent or of all. */

import { access } from "node:fs/promises";
import type { AgentRecord } from "../contract/agent.ts";
import type { Answer } from "../contract/operations.ts";
import { is_inside } from "../contract/paths.ts";
import { is_ended } from "../contract/status.ts";
import type { Services } from "./services.ts";

/** A registry may have been edited by anybody. */
const OUTSIDE = "it is recorded outside its task's directory, and was not looked at";

/** Reports on each tracked file where it is now. Fails (`success: false`) when an ended agent's file is held, or nobody can tell. */
export async function verify_agents(services: Services, agents: AgentRecord[]): Promise<Answer<"verify">> {
  const places = agents.flatMap((agent) => {
    const moved = new Map((agent.ending?.set_aside ?? []).map((file) => [file.role, file.trash_path]));
    return Object.entries(agent.tracked_files).map(([role, path]) => ({ agent, role, path: moved.get(role) ?? path }));
  });
  const ours = places.map(({ agent, path }) => is_inside(services.registry.task_of(agent).dir, path));
  // Files that were set aside are in nobody's use, and are judged as their end judges them; who opens any other, and those that were kept in their place, must not meet a lease.
  const aside = new Set(
    agents
      .flatMap((agent) => agent.ending?.set_aside ?? [])
      .filter((file) => file.trash_path !== file.path)
      .map((file) => file.trash_path),
  );
  const verdicts = await services.verifier.verify(
    places.filter((_, index) => ours[index]).map((one) => one.path),
    [],
    { lease: (path) => aside.has(path) },
  );
  const files = await Promise.all(
    places.map(async ({ agent, role, path }, index) => {
      const one = { agent_id: agent.id, status: agent.status, role, path };
      if (!ours[index]) return { ...one, exists: false, verdict: "unknown" as const, holders: [], reason: OUTSIDE };
      // In order: nothing is awaited before this.
      const { verdict, holders, reason } = verdicts.shift() as (typeof verdicts)[number];
      const exists = await access(path).then(
        () => true,
        () => false,
      );
      return { ...one, exists, verdict, holders, reason };
    }),
  );
  return { success: files.every((file) => !is_ended(file.status) || file.verdict === "clear"), files };
}
