/** Sees off what ran an agent whose report is on disk: its host, its tmux session, and what they leave in the runtime directory. */
import { lstatSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { signal_process } from "../../containment/end-family.ts";
import type { AgentRecord } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { host_socket, host_stderr, is_runtime_dir, placeholder_pipes } from "../../contract/paths.ts";
import { gone_within } from "../../drivers/gone.ts";
import { boot_id } from "../../drivers/procfs.ts";
import type { HostLink } from "../host-link.ts";
import type { Services } from "../services.ts";
import { end_session_later } from "./later.ts";

/** How long a host may take to leave after it was released, in ms, before it is killed: it has closed everything by then. */
const LEAVE_DEADLINE_MS = 3_000;
/** How often is looked, in ms: a kill waits for it. */
const LOOK_MS = 2;

/** Lets the host go, and waits until it has left: one that does not leave in time is killed. */
export async function release(services: Services, agent: AgentRecord, link: HostLink | undefined): Promise<void> {
  const { host } = agent;
  if (link) {
    await link
      .request({ type: "release" }, LEAVE_DEADLINE_MS)
      .catch((error) =>
        services.log.debug({ agent_id: agent.id, error: message_of(error) }, "the host left before it was released"),
      );
    await Promise.race([link.gone, delay(LEAVE_DEADLINE_MS, undefined, { ref: false })]);
    link.close();
    services.hosts.delete(agent.id);
  }
  if (host && host.boot_id === boot_id()) {
    if (!(await gone_within(host, LEAVE_DEADLINE_MS, LOOK_MS))) signal_process(host, "SIGKILL");
  }
}

/** Removes what a host leaves in the runtime directory when it, or the daemon that started it, was killed. After its session: a host may just be booting. */
export async function remove_leftovers(services: Services, agent: AgentRecord): Promise<void> {
  const { host } = agent;
  const recorded = host && is_runtime_dir(dirname(host.socket), process.getuid?.() ?? 0) ? host.socket : null;
  const socket = recorded ?? host_socket(services.runtime_dir, agent.id);
  const { life, sizes } = placeholder_pipes(services.runtime_dir, agent.id);
  const stderr = host_stderr(services.runtime_dir, agent.id);
  const leftovers = [socket, `${socket}.new`, `${socket}.out`, stderr, life, sizes];
  // The directory of the sockets is in memory or on a local disk. Mostly nothing is left in it.
  const left = leftovers.filter((path) => lstatSync(path, { throwIfNoEntry: false }));
  await Promise.all(left.map((path) => rm(path, { force: true })));
}

/** True when the session is known to be gone. When tmux does not answer it is ended later, and the receipt says so. */
export async function end_session(services: Services, agent: AgentRecord, notes: string[]): Promise<boolean> {
  await services.panes.settled(agent.id);
  const killed = await services.panes.end(agent.tmux_session as string);
  // What an attempt before this one said is not true any more, or is said again.
  const note = `tmux did not answer; the session ${agent.tmux_session} is ended when it does`;
  if (notes.includes(note)) notes.splice(notes.indexOf(note), 1);
  if (killed) return true;
  notes.push(note);
  end_session_later(services, agent);
  return false;
}
