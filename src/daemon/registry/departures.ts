/** Ended agents on their way from the registry into their task's journal. */
import type { AgentRecord } from "../../contract/agent.ts";
import { crash_point } from "../../faults/crash-point.ts";
import type { Task } from "./task.ts";

export class Departures {
  /** None of these rejects. */
  private readonly under_way = new Set<Promise<void>>();

  /** On the disk in one of the two at every moment; when they are in both after a crash, the journal counts. Resolves when both are on the disk. */
  depart(task: Task, leaving: readonly AgentRecord[]): Promise<void> {
    const departure = move_out(task, leaving);
    const settled = departure
      .catch(() => undefined /* told to who asked */)
      .finally(() => this.under_way.delete(settled));
    this.under_way.add(settled);
    return departure;
  }

  /** Resolves when nobody is leaving. */
  async settled(): Promise<void> {
    await Promise.all(this.under_way);
  }
}

async function move_out(task: Task, leaving: readonly AgentRecord[]): Promise<void> {
  const agents = leaving.filter((one) => task.agents.get(one.id) === one);
  if (agents.length === 0) return;
  for (const agent of agents) agent.task_id = task.task_id;
  await task.journal.append(agents);
  crash_point("leave.journaled");
  const gone = new Set<unknown>(agents);
  for (const agent of agents) task.agents.delete(agent.id);
  task.store.data.agents = task.store.data.agents.filter((one) => !gone.has(one));
  await task.store.flush();
  crash_point("leave.recorded");
}
