/** The host of an agent that is being deployed: a spare one, which becomes its own, or one that is started for it. */
import { rm } from "node:fs/promises";
import type { AgentRecord } from "../../contract/agent.ts";
import { session_name } from "../../contract/ids.ts";
import { host_socket, host_stderr } from "../../contract/paths.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { boot_id } from "../../drivers/procfs.ts";
import { kill_session } from "../../drivers/tmux/sessions.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { see_host_off } from "../end-host.ts";
import { forward_events } from "../hosts.ts";
import type { ReadyHost, Services } from "../services.ts";
import { start_host } from "../start-host.ts";
import type { Deploying } from "./deploying.ts";

/**
 * Asks for a spare, which becomes the agent's host while other things are done. Gives what is known of it already: written with the agent's entry it needs
 * no record of its own before the launch. Its undoing waits for it, and leaves nothing of it.
 */
export function ask_for_spare(run: Deploying): Pick<AgentRecord, "host" | "tmux_session"> {
  const { services, agent, undo } = run;
  const known = services.spares.take();
  const become = async () => (known ?? (await services.spares.take_coming()))?.become(agent) ?? null;
  const spare = become();
  run.spare = spare;
  undo.push(async () => {
    const ready = await spare;
    if (!ready) return;
    await remove_session(services, agent);
    ready.link.close();
    await see_host_off(ready.facts.host);
  });
  return known
    ? { host: on_record(services, agent, known.host), tmux_session: known.session }
    : { host: null, tmux_session: agent.tmux_session };
}

/** The spare, if there is one, is on record as its host: as durable as that of a host that is started for it. */
export async function host_from_spare(run: Deploying): Promise<void> {
  const { services, agent } = run;
  const ready = await run.spare;
  if (ready) await record_host(run, ready);
  // It is not what the entry says: nobody may believe that after a crash.
  else if (agent.host) await services.registry.update(agent, { host: null, tmux_session: session_name(agent.id) });
}

/** Durable when it resolves. */
export async function record_host({ services, agent }: Deploying, { facts, session }: ReadyHost): Promise<void> {
  crash_point("deploy.host_ready");
  const host = on_record(services, agent, { ...facts.host, protocol: facts.protocol });
  if (agent.host?.pid !== host.pid) await services.registry.update(agent, { host, tmux_session: session });
  crash_point("deploy.host_recorded");
}

function on_record(
  { runtime_dir }: Services,
  agent: AgentRecord,
  { pid, start_time, protocol }: ProcessRef & { protocol: number },
): NonNullable<AgentRecord["host"]> {
  return { pid, start_time, socket: host_socket(runtime_dir, agent.id), protocol, boot_id: boot_id() };
}

/** A host of its own, where there is no spare. */
export function own_host(run: Deploying): Promise<ReadyHost> {
  const { services, agent } = run;
  run.step = "starting its session";
  return start_host(services, {
    id: agent.id,
    session: session_name(agent.id),
    spare: false,
    on_event: forward_events(services, agent.id),
    on_session: () => {
      crash_point("deploy.session_started");
      run.step = "waiting for its host";
    },
  });
}

/** Ends the session, under whichever name it has by now, and removes what its host has in the runtime directory. */
export async function remove_session(services: Services, agent: AgentRecord): Promise<void> {
  const files = [host_socket(services.runtime_dir, agent.id), host_stderr(services.runtime_dir, agent.id)];
  for (const session of new Set([agent.tmux_session as string, session_name(agent.id)])) {
    const killed = await kill_session(services.tmux, session);
    await Promise.all(files.map((path) => rm(path, { force: true })));
    // A frozen server starts the session when it goes on, and the host in it makes its files again.
    if (killed === "unknown") services.panes.end_later({ session, files });
  }
}
