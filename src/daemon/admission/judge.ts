/** Whether a newcomer may start at once, must wait, or is refused. Waits for nothing: what it found holds until the agent is in the registry. */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";
import { crowded, refuse_to_wait, require_place, scopes_of } from "./limits.ts";
import { type Line, ticket_of } from "./line.ts";

/** Where an agent that is on record counts. */
export const scopes_for = ({ registry, config }: Services, agent: AgentRecord) =>
  scopes_of(config.limits, registry.tasks.values(), registry.task_of(agent), agent.depth);

/** True when it may start, false when it waits. Throws `limit_reached`, or `agent_not_running` when its parent is being killed. */
export function may_start(
  services: Services,
  line: Line,
  task: Task,
  parent: AgentRecord | null,
  request: DeployPlan,
): boolean {
  const { registry, config, doomed } = services;
  const killed = parent && !is_foreign(parent) && (parent.ending?.cause === "kill" || parent.status === "terminated");
  if (parent && (killed || doomed.has(parent.id)))
    throw new SupervisorError("agent_not_running", `${parent.id} is killed; it takes no more children`);
  const depth = (parent?.depth ?? 0) + 1;
  const scopes = scopes_of(config.limits, registry.tasks.values(), task, depth);
  require_place(scopes, depth, parent?.id ?? null);
  const full = crowded(scopes);
  if (full && !request.queue) refuse_to_wait(full);
  if (full) return false;
  // Nobody passes one that could start as well, and is about to.
  return !line
    .turns()
    .some((one) => ticket_of(one).priority >= request.priority && crowded(scopes_for(services, one.agent)) === null);
}
