/**
 * Sessions on the private tmux server whose agent has ended, by its receipt. Any other session there is left alone: its name alone does not say that it
 * is of an agent of ours, and ending it would end what runs in it.
 */
import { AGENT_ID_PATTERN, SUPERVISOR_SESSION, session_name } from "../../contract/ids.ts";
import { host_socket } from "../../contract/paths.ts";
import { is_ended } from "../../contract/status.ts";
import { stopped_server } from "../../drivers/tmux/client.ts";
import { server_lives } from "../../drivers/tmux/lives.ts";
import { kill_session, list_sessions } from "../../drivers/tmux/sessions.ts";
import type { Services } from "../services.ts";
import { somebody_listens } from "./somebody-listens.ts";
import type { Sweep } from "./sweep.ts";

const PREFIX = session_name("");

export async function orphaned_sessions(sweep: Sweep): Promise<void> {
  const { tmux, runtime_dir } = sweep.services;
  if (stopped_server(tmux) || !(await server_lives(tmux.socket))) return;
  const sessions = new Set(
    sweep.services.registry.agents().flatMap((one) => (is_ended(one.status) ? [] : [one.tmux_session])),
  );
  for (const name of await list_sessions(tmux)) {
    if (name === SUPERVISOR_SESSION || sweep.services.spares.owns(name) || sessions.has(name)) continue;
    const id = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : "";
    const state = AGENT_ID_PATTERN.test(id) ? state_of(sweep.services, id) : "unknown";
    if (state === "lives") continue;
    const found = { what: "orphaned_session", path: name, why: "its agent has ended" } as const;
    if (state === "unknown") sweep.leave({ ...found, why: "no registry or journal knows an agent of this session" });
    else if (await somebody_listens(host_socket(runtime_dir, id)))
      sweep.leave({ ...found, why: `${found.why}; but its host lives` });
    else if (sweep.is_known_long(found))
      await sweep.dispose(found, async () => {
        if ((await kill_session(tmux, name)) === "unknown") throw new Error("tmux did not answer");
      });
    else sweep.wait({ ...found, why: `${found.why}; it may just be ending` });
  }
}

function state_of({ registry, ends }: Services, id: string): "ended" | "lives" | "unknown" {
  const agent = registry.agents().find((one) => one.id === id);
  if (agent) return is_ended(agent.status) && !ends.has(id) ? "ended" : "lives";
  return [...registry.tasks.values()].some((task) => task.journal.get(id)) ? "ended" : "unknown";
}
