/** Ends what a start that came to nothing left: its session, and the host in it, which has launched nothing. */
import type { AgentRecord } from "../../contract/agent.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import type { TmuxServer } from "../../drivers/tmux/client.ts";
import { kill_session, pane_process } from "../../drivers/tmux/sessions.ts";
import { end_host } from "../end-host.ts";

/** `host` is null where none was seen. False when it cannot be told whether both are gone. */
export async function end_start(tmux: TmuxServer, agent: AgentRecord, host: ProcessRef | null): Promise<boolean> {
  const session = agent.tmux_session as string;
  const pane = host ?? (await pane_process(tmux, session));
  if (pane === "unknown" || (await kill_session(tmux, session)) === "unknown") return false;
  return pane === null || end_host(pane);
}
