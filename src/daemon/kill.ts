/** Kills: one agent, all of a task, all. A kill during a deploy waits for the deploy; a kill during an end joins it. */
import { type AgentRecord, is_foreign } from "../contract/agent.ts";
import { message_of, SupervisorError } from "../contract/errors.ts";
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
  // It may have left the registry since.
  if (agent.receipt) return agent.receipt;
  if (!services.registry.has(agent))
    throw new SupervisorError("agent_not_found", `${agent.id} was not deployed after all; there is nothing to end`);
  return end_agent(services, agent, {
    cause: "kill",
    reason: options.reason,
    cleanup: options.cleanup,
    grace_ms: options.grace_ms ?? agent.grace_ms,
  });
}

/** Kills every living agent of ours that fits. An entry of another program is killed only when it is named. Each has its own receipt. */
export async function kill_all(
  services: Services,
  fits: (agent: AgentRecord) => boolean,
  options: KillOptions,
): Promise<Receipt[]> {
  const living = services.registry
    .agents()
    .filter((agent) => !is_foreign(agent) && !is_ended(agent.status) && fits(agent));
  const receipts = living.map(async (agent) => {
    await services.deploys.get(agent.id);
    // A deploy that failed meanwhile was undone: there is nothing to end.
    return agent.receipt || services.registry.has(agent) ? [await kill_agent(services, agent, options)] : [];
  });
  const settled = await Promise.allSettled(receipts);
  for (const one of settled)
    if (one.status === "rejected") services.log.error({ error: message_of(one.reason) }, "an end did not finish");
  const failed = settled.find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
  return settled.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
}
