/** What the rest of the daemon asks of the queue. Beside it, because the queue needs ends and starts, and these need the queue. */
import type { AgentRecord } from "../../contract/agent.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { Ticket } from "./line.ts";

export interface WaitingRoom {
  /** Takes in what the registry says waits. Before anything is reconciled. */
  open(): void;
  /** Asks the tmux server for the environments of those that waited when the last daemon went. Those it lost end as failed. Never rejects. */
  restore(): Promise<void>;
  /** Nothing is admitted any more. */
  close(): void;
  /** Rejects with `too_little_free` when a floor is not kept. */
  require_floors(): Promise<void>;
  /**
   * Whether a new agent may start at once (null), or its ticket. Throws `limit_reached`, or `agent_not_running` when its parent is being killed.
   * Holds until something is waited for.
   */
  judge(task: Task, parent: AgentRecord | null, request: DeployPlan): Ticket | null;
  /** Takes a new agent, which is on record. Resolves when it survives the daemon; rejects with `tmux_failed`. */
  take(agent: AgentRecord, plan: DeployPlan): Promise<void>;
  /** It ends, or it runs: it waits no more, and its environment is forgotten. Never rejects: what stays is forgotten at the next start. */
  let_go(agent: AgentRecord): Promise<void>;
  /** It is not to be started any more. */
  drop(agent: AgentRecord): void;
  /** An agent whose start was undone waits again at its old place. */
  put_back(agent: AgentRecord): Promise<void>;
  /**
   * After a restart: the agent's start was under way and nothing of it was launched. Its session and host (null: none was seen) are ended, and
   * it waits again. False when that cannot be told: then it must end like any other.
   */
  take_back(agent: AgentRecord, host: ProcessRef | null): Promise<boolean>;
  /** From 1, for an agent that waits; else null. */
  position(agent: AgentRecord): number | null;
  /** Why it waits; empty for one that does not. */
  reason(agent: AgentRecord): string;
  /** How many wait, in all and by task: for metrics. */
  counts(): { queued: number; by_task: Record<string, number> };
  /** Starts whoever has room now. Called whenever room may have appeared. */
  pump(): void;
}
