/** The second half of a deploy: a host that is on record is told to launch the program. */
import { remove_groups } from "../../containment/groups.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { type HostFacts, host_facts, type LaunchSpec } from "../../contract/host-protocol.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { see_host_off } from "../end-host.ts";
import type { HostLink } from "../host-link.ts";
import { facts_to_remember, set_host_state, watch_host } from "../hosts.ts";
import { name_session } from "../name-session.ts";
import type { Deploying } from "./deploying.ts";
import { own_host, record_host, remove_session } from "./host.ts";
import { launch_spec } from "./launch-spec.ts";

/** Session, host, launch. */
export async function start(run: Deploying): Promise<void> {
  const { services, agent, undo } = run;
  // Its host has removed them, unless it was killed.
  undo.push(async () => remove_groups(agent.cgroups));
  let host: ProcessRef | null = null;
  // One that hangs does not leave with its session.
  undo.push(async () => host && see_host_off(host));
  undo.push(async () => {
    await remove_session(services, agent);
    crash_point("deploy.session_removed");
  });
  const ready = (await run.spare) ?? (await own_host(run));
  const { link } = ready;
  host = ready.facts.host;
  undo.push(async () => {
    link.close();
    crash_point("deploy.link_closed");
  });
  run.step = "launching its program";
  if (!agent.host) await record_host(run, ready);
  services.hosts.set(agent.id, link);
  set_host_state(services, agent, "connected");
  // Who is told that it was started finds it running; and a program may have ended before that is on record.
  services.events.hold(agent.id);
  try {
    await run_program(run, link);
  } finally {
    services.events.let_go(agent.id);
  }
  watch_host(services, agent, link);
}

/** Launches the program, names its session meanwhile, and records that it runs. */
async function run_program({ services, task, agent, request, undo }: Deploying, link: HostLink): Promise<void> {
  const launching = launch(link, launch_spec(services, task, agent, request));
  crash_point("deploy.launch_asked");
  // While the host is at it: the start of a tmux client holds this thread for some ms.
  const naming = name_session(services, agent);
  // Also when the launch fails: what is undone must know under which name.
  const [, named] = await Promise.all([launching.catch(() => undefined /* heard below */), naming]);
  const launched = await launching.catch((error) => {
    // Only the host's own word says that nothing runs; after any other failure the agent may, and is ended like any other.
    if (error instanceof SupervisorError && error.code === "launch_failed") services.hosts.delete(agent.id);
    else undo.length = 0;
    throw error;
  });
  undo.length = 0;
  crash_point("deploy.launched");
  await services.registry.advance(agent, { type: "launched" }, { ...facts_to_remember(launched), tmux_session: named });
  crash_point("deploy.running_recorded");
}

async function launch(link: HostLink, spec: LaunchSpec): Promise<HostFacts> {
  const facts = host_facts.parse(await link.request({ type: "launch", spec }));
  link.take_view(facts);
  return facts;
}
