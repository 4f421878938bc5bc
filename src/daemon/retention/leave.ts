/**
 * Ended agents leave the registry: what is in it is what runs, what waits, and the last few that ended. Their records are in the task's
 * journal then, where `status`, `logs`, `wait` and `kill` find them.
 */
import { type AgentRecord, is_foreign, never_admitted } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { is_ended } from "../../contract/status.ts";
import { put_receipt } from "../ending/archived-receipt.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";

/** True for one of ours of which nothing is left to do. An entry of another program stays where that program wrote it. */
export function may_leave(agent: AgentRecord): boolean {
  return (
    !is_foreign(agent) &&
    is_ended(agent.status) &&
    agent.ending === null &&
    agent.cleanup_state === "done" &&
    // Its session is ended when tmux answers again, and the receipt amended. One that only waited in the queue had none.
    (agent.receipt?.session_killed === true || never_admitted(agent))
  );
}

/** By task: four hundred ends at once are a few departures. */
const under_way = new WeakMap<Task, Promise<void>>();

/** Those beyond the number that stays leave, the first that ended first. Never rejects: the next end, or sweep, tries again. */
export function leave_when_many(services: Services, task: Task): Promise<void> {
  const leaving = under_way.get(task) ?? leave_until_few(services, task).finally(() => under_way.delete(task));
  under_way.set(task, leaving);
  return leaving;
}

async function leave_until_few(services: Services, task: Task): Promise<void> {
  try {
    for (let many = excess_of(services, task); many.length > 0; many = excess_of(services, task)) {
      await leave(services, task, many);
      // The daemon stops: nobody leaves any more.
      if (many.some((agent) => task.agents.has(agent.id))) return;
    }
  } catch (error) {
    services.log.warn(
      { task_id: task.task_id, error: message_of(error) },
      "ended agents could not leave the registry; it is tried again",
    );
  }
}

function excess_of(services: Services, task: Task): AgentRecord[] {
  const over = [...task.agents.values()].filter(may_leave);
  const excess = over.length - services.config.retention.ended_in_registry;
  if (excess <= 0) return [];
  return over.sort((a, b) => (a.ended_at ?? "").localeCompare(b.ended_at ?? "")).slice(0, excess);
}

/** They leave. Durable when it resolves. */
export async function leave(services: Services, task: Task, agents: readonly AgentRecord[]): Promise<void> {
  for (const agent of agents) await put_receipt(services, agent);
  await services.registry.depart(task, agents);
}
