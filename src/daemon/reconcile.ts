/**
 * What a daemon that starts finds, against what the registry remembers: running agents are adopted, half-done ends are gone on with,
 * agents whose host is gone are ended as lost (or by the exit record the host left).
 */
import { readFile } from "node:fs/promises";
import type { AgentRecord } from "../contract/agent.ts";
import { is_foreign } from "../contract/agent.ts";
import { is_errno, message_of } from "../contract/errors.ts";
import { exit_record_path, host_socket } from "../contract/paths.ts";
import { type ClosedReport, closed_report } from "../contract/receipt.ts";
import { boot_id } from "../drivers/procfs.ts";
import { end_agent, is_unfinished } from "./ending/end.ts";
import { HostLink } from "./host-link.ts";
import { facts_to_remember, forward_events, watch_host } from "./hosts.ts";
import type { Services } from "./services.ts";

export interface Reconciled {
  adopted: number;
  ending: number;
}

/** Takes every unfinished agent up again. Resolves when each is adopted or its end is under way (ends are not waited for). */
export async function reconcile(services: Services): Promise<Reconciled> {
  const result: Reconciled = { adopted: 0, ending: 0 };
  const unfinished = services.registry.agents().filter((agent) => !is_foreign(agent) && is_unfinished(agent));
  await Promise.all(
    unfinished.map(async (agent) => {
      try {
        if (await adopt(services, agent)) result.adopted++;
        else result.ending++;
      } catch (error) {
        // One agent that cannot be judged must not keep the others from their supervisor; nothing of it is touched.
        services.log.error({ agent_id: agent.id, error: message_of(error) }, "an agent could not be taken up again");
      }
    }),
  );
  return result;
}

/** True when the agent runs on under its host. */
async function adopt(services: Services, agent: AgentRecord): Promise<boolean> {
  const link = await connect(services, agent);
  if (link) {
    services.hosts.set(agent.id, link);
    const facts = await link.hello().catch((error) => {
      services.log.error({ agent_id: agent.id, error: message_of(error) }, "a host accepts, but does not answer");
      return null;
    });
    if (facts) {
      await services.registry.update(agent, {
        host: {
          ...facts.host,
          socket: agent.host?.socket ?? host_socket(services.runtime_dir, agent.id),
          protocol: facts.protocol,
          boot_id: boot_id(),
        },
        stalled: facts.stalled,
        ...(facts.process ? facts_to_remember(facts) : {}),
      });
      if (facts.phase !== "waiting" && agent.status === "deploying")
        await services.registry.advance(agent, { type: "launched" });
    }
    if (facts?.phase === "waiting") {
      // The daemon died between the session and the launch: nothing of the agent has run.
      begin_end(services, agent, "deploy_failed", "the supervisor was restarted before the agent was launched");
      return false;
    }
    watch_host(services, agent, link);
    if (agent.ending) {
      begin_end(services, agent, agent.ending.cause, agent.ending.reason);
      return false;
    }
    services.events.emit({
      type: "agent_adopted",
      agent_id: agent.id,
      message: "the supervisor was restarted; the agent runs on",
    });
    return true;
  }
  const record = await exit_record(services, agent);
  if (record) begin_end(services, agent, record.cause, "the agent ended while no supervisor ran");
  else if (agent.status === "deploying" && !agent.host)
    begin_end(services, agent, "deploy_failed", "the supervisor was restarted while the agent was being deployed");
  else begin_end(services, agent, "host_lost", "its host was gone when the supervisor started");
  return false;
}

async function connect(services: Services, agent: AgentRecord): Promise<HostLink | null> {
  if (agent.host && agent.host.boot_id !== boot_id()) return null;
  const path = agent.host?.socket ?? host_socket(services.runtime_dir, agent.id);
  try {
    return await HostLink.connect(agent.id, path, forward_events(services, agent.id));
  } catch (error) {
    if (is_errno(error, "ENOENT", "ECONNREFUSED")) return null;
    throw error;
  }
}

function begin_end(services: Services, agent: AgentRecord, cause: ClosedReport["cause"], reason: string): void {
  end_agent(services, agent, { cause, reason, cleanup: agent.cleanup, grace_ms: agent.grace_ms }).catch((error) => {
    services.log.error(
      { agent_id: agent.id, error: message_of(error) },
      "an end did not finish; it is tried again at the next start",
    );
  });
}

async function exit_record(services: Services, agent: AgentRecord): Promise<ClosedReport | null> {
  try {
    return closed_report.parse(
      JSON.parse(await readFile(exit_record_path(services.registry.task_of(agent).dir, agent.id), "utf8")),
    );
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}
