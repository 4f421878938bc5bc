/** A deploy under way, as its steps hand it on. */
import type { AgentRecord } from "../../contract/agent.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { ReadyHost, Services } from "../services.ts";

/** A deploy under way. `undo` has what takes back what was done, last first; empty once the agent may run. */
export interface Deploying {
  services: Services;
  task: Task;
  agent: AgentRecord;
  request: DeployPlan;
  undo: (() => Promise<unknown>)[];
  step: string;
  /** A spare that is becoming its host; null where there was none. Absent before it was asked for. */
  spare?: Promise<ReadyHost | null>;
}
