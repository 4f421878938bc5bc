/** An agent's tracked file, by role: only where it can be the agent's. A registry may have been written, or edited, by anybody. */
import type { AgentRecord } from "../contract/agent.ts";
import { SupervisorError } from "../contract/errors.ts";
import { is_inside } from "../contract/paths.ts";
import type { Services } from "./services.ts";

/** Its path, or null when the agent has none. Throws `out_of_place` for a path outside the task's directory: nothing there is read or written. */
export function own_file(services: Services, agent: AgentRecord, role: string): string | null {
  const path = agent.tracked_files[role];
  if (!path) return null;
  if (is_inside(services.registry.task_of(agent).dir, path)) return path;
  throw new SupervisorError(
    "out_of_place",
    `the ${role} of ${agent.id} is recorded outside its task's directory; it was left alone`,
  );
}
