/** Kills: one agent, all of a task, all. A kill during a deploy waits for the deploy; a kill during an end joins it. */
import { type AgentRecord, is_foreign } from "../contract/agent.ts";
import { message_of, SupervisorError } from "../contract/errors.ts";
import type { CleanupPolicy, Receipt } from "../contract/receipt.ts";
import { is_ended } from "../contract/status.ts";
import { all_of } from "./all-of.ts";
import { end_agent } from "./ending/end.ts";
import type { Services } from "./services.ts";
import { descendants_of } from "./tree.ts";

export interface KillOptions {
  reason: string;
  cleanup: CleanupPolicy;
  grace_ms?: number;
}

export async function kill_agent(services: Services, agent: AgentRecord, options: KillOptions): Promise<Receipt> {
  await services.deploys.get(agent.id);
  await services.take_backs.get(agent.id)?.join();
  // It may have left the registry since.
  if (agent.receipt) return agent.receipt;
  if (!services.registry.has(agent))
    throw new SupervisorError("agent_not_found", `${agent.id} was not deployed after all; there is nothing to end`);
  try {
    return await end_agent(services, agent, {
      cause: "kill",
      reason: options.reason,
      cleanup: options.cleanup,
      grace_ms: options.grace_ms ?? agent.grace_ms,
    });
  } catch (error) {
    // Whoever reads only why would ask for it again and again, or reach for kill(1).
    if (!(error instanceof SupervisorError) || services.halted.signal.aborted) throw error;
    const what_next = `the end of ${agent.id} is tried again by itself until it is complete`;
    throw new SupervisorError(error.code, `${error.message}; ${what_next}`, { cause: error });
  }
}

const lives = (agent: AgentRecord) => !is_foreign(agent) && !is_ended(agent.status);

/** Everybody that descends from an agent, also by those that have ended and left the registry. */
function family_of({ registry }: Services, agent: AgentRecord): { ids: string[]; living: AgentRecord[] } {
  const agents = new Map(registry.agents().map((one) => [one.id, one]));
  const left = [...registry.tasks.values()].flatMap((task) => [...task.journal.entries()]);
  const ids = descendants_of(agent.id, [...agents.values(), ...left]).map(({ id }) => id);
  return { ids, living: ids.flatMap((id) => agents.get(id) ?? []).filter(lives) };
}

/** The living descendants of an agent. */
export const living_descendants = (services: Services, agent: AgentRecord) => family_of(services, agent).living;

/** Kills an agent together with its descendants, all at once: none of them gets a new child meanwhile, and none is left to replace another. */
export async function kill_tree(
  services: Services,
  agent: AgentRecord,
  options: KillOptions,
): Promise<{ receipt: Receipt; descendants: Receipt[] }> {
  const family = family_of(services, agent);
  return while_doomed(services, [agent.id, ...family.ids], async () => {
    const [receipt, descendants] = await all_of([
      kill_agent(services, agent, options),
      kill_each(services, family.living, options),
    ]);
    return { receipt, descendants };
  });
}

/** Kills every living agent of ours that fits. An entry of another program is killed only when it is named. Each has its own receipt. */
export async function kill_all(
  services: Services,
  fits: (agent: AgentRecord) => boolean,
  options: KillOptions,
): Promise<Receipt[]> {
  const living = services.registry.agents().filter((agent) => lives(agent) && fits(agent));
  const ids = living.map(({ id }) => id);
  return while_doomed(services, ids, () => kill_each(services, living, options));
}

/** Nobody of these gets a child, or leaves the queue, from this moment until their ends are complete. */
async function while_doomed<T>(services: Services, ids: readonly string[], work: () => Promise<T>): Promise<T> {
  for (const id of ids) services.doomed.add(id);
  try {
    return await work();
  } finally {
    for (const id of ids) services.doomed.delete(id);
    services.queue.pump();
  }
}

async function kill_each(services: Services, agents: readonly AgentRecord[], options: KillOptions): Promise<Receipt[]> {
  const receipts = agents.map(async (agent) => {
    await services.deploys.get(agent.id);
    await services.take_backs.get(agent.id)?.join();
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
