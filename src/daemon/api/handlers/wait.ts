import { setTimeout as delay } from "node:timers/promises";
import { type AgentRecord, is_foreign } from "../../../contract/agent.ts";
import { SupervisorError } from "../../../contract/errors.ts";
import { is_ended } from "../../../contract/status.ts";
import type { Services } from "../../services.ts";
import type { Handler } from "../handler.ts";

export const wait: Handler<"wait"> = async (services, { params, query }, signal) => {
  const agent = await services.registry.recall(params.agent);
  if (is_foreign(agent) && is_ended(agent.status) && !agent.receipt)
    throw new SupervisorError(
      "agent_not_ours",
      `${agent.id} was started by another program and is ${agent.status}; nobody here saw its end, so there is no receipt ('supervisor status ${agent.id}' has what is known)`,
    );
  const timeout =
    query.timeout_ms === undefined ? null : delay(query.timeout_ms, null, { signal, ref: false }).catch(() => null);
  const receipt = await Promise.race([ended(services, agent, signal), ...(timeout ? [timeout] : [])]);
  if (!receipt)
    throw new SupervisorError("timeout", `${agent.id} had not ended after ${query.timeout_ms} ms; it goes on`);
  return receipt;
};

/** The agent's receipt, once there is one. */
async function ended(services: Services, agent: AgentRecord, signal: AbortSignal) {
  await services.deploys.get(agent.id);
  if (agent.receipt) return agent.receipt;
  if (!services.registry.has(agent))
    throw new SupervisorError(
      "agent_not_found",
      `${agent.id} was not deployed after all; there is nothing to wait for`,
    );
  return new Promise<NonNullable<AgentRecord["receipt"]>>((resolve, reject) => {
    const stop = services.events.listen((event) => {
      if (event.type !== "agent_ended" || event.agent_id !== agent.id || !agent.receipt) return;
      stop();
      resolve(agent.receipt);
    });
    signal.addEventListener("abort", () => {
      stop();
      reject(new SupervisorError("timeout", "the client went away"));
    });
  });
}
