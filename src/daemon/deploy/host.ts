/** The host of an agent that is being deployed: a spare one, which becomes its own, or one that is started for it. */
import { rm } from "node:fs/promises";
import type { AgentRecord } from "../../contract/agent.ts";
import { host_socket, host_stderr } from "../../contract/paths.ts";
import { boot_id } from "../../drivers/procfs.ts";
import { kill_session } from "../../drivers/tmux/sessions.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { see_host_off } from "../end-host.ts";
import { forward_events } from "../hosts.ts";
import type { ReadyHost, Services } from "../services.ts";
import { start_host } from "../start-host.ts";
import type { Deploying } from "./deploying.ts";

/** Asks for a spare, which comes while other things are done. Its undoing waits for it, and leaves nothing of it. */
export function ask_for_spare(run: Deploying): void {
  const { services, agent, undo } = run;
  const spare = services.spares.take(agent);
  run.spare = spare;
  undo.push(async () => {
    const ready = await spare;
    if (!ready) return;
    await remove_session(services, agent);
    ready.link.close();
    await see_host_off(ready.facts.host);
  });
}

/** The spare, if there is one, is on record as its host: as durable as that of a host that is started for it. */
export async function host_from_spare(run: Deploying): Promise<void> {
  const ready = await run.spare;
  if (ready) await record_host(run, ready);
}

/** Durable when it resolves. */
export async function record_host({ services, agent }: Deploying, { facts }: ReadyHost): Promise<void> {
  crash_point("deploy.host_ready");
  const socket = host_socket(services.runtime_dir, agent.id);
  const host = { ...facts.host, socket, protocol: facts.protocol, boot_id: boot_id() };
  await services.registry.update(agent, { host });
  crash_point("deploy.host_recorded");
}

/** A host of its own, where there is no spare. */
export function own_host(run: Deploying): Promise<ReadyHost> {
  const { services, agent } = run;
  run.step = "starting its session";
  return start_host(services, {
    id: agent.id,
    session: agent.tmux_session as string,
    spare: false,
    on_event: forward_events(services, agent.id),
    on_session: () => {
      crash_point("deploy.session_started");
      run.step = "waiting for its host";
    },
  });
}

/** Ends the session, and removes what its host has in the runtime directory. */
export async function remove_session(services: Services, agent: AgentRecord): Promise<void> {
  const session = agent.tmux_session as string;
  const files = [host_socket(services.runtime_dir, agent.id), host_stderr(services.runtime_dir, agent.id)];
  const killed = await kill_session(services.tmux, session);
  await Promise.all(files.map((path) => rm(path, { force: true })));
  // A frozen server starts the session when it goes on, and the host in it makes its files again.
  if (killed === "unknown") services.panes.end_later({ session, files });
}
