/** Kills: one agent, all of a task, all. A kill during a deploy waits for the deploy; a kill during an end joins it. */
import type { AgentRecord } from "../contract/agent.ts";
import type { CleanupPolicy, Receipt } from "../contract/receipt.ts";
import { is_ended } from "../contract/status.ts";
import { end_agent } from "./ending/end.ts";
import type { Services } from "./services.ts";

export interface KillOptions {
  reason: string;
  cleanup: CleanupPolicy;
  grace_ms?: number;
}

export async function kill_agent(services: Services, agent: AgentRecord, options: KillOptions): Promise<Receipt> {
  await services.deploys.get(agent.id);
  return end_agent(services, agent, {
    cause: "kill",
    reason: options.reason,
    cleanup: options.cleanup,
    grace_ms: options.grace_ms ?? agent.grace_ms,
  });
}

/** Kills every living agent that fits. Each has its own receipt. */
export async function kill_all(
  services: Services,
  fits: (agent: AgentRecord) => boolean,
  options: KillOptions,
): Promise<Receipt[]> {
  const living = services.registry.agents().filter((agent) => !is_ended(agent.status) && fits(agent));
  return Promise.all(living.map((agent) => kill_agent(services, agent, options)));
}
