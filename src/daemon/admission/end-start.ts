/** Ends what a start that came to nothing left: its session, and the host in it, which has launched nothing. */
import { signal_process } from "../../containment/end-family.ts";
import type { AgentRecord } from "../../contract/agent.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { is_alive } from "../../drivers/procfs.ts";
import { kill_session, pane_process, type TmuxServer } from "../../drivers/tmux.ts";

/** How long such a host may take to be gone after KILL, in ms, and how often is looked: nobody tells of the death of another's child. */
const GONE_MS = 5_000;
const LOOK_MS = 5;

/** `host` is null where none was seen. False when it cannot be told whether both are gone. */
export async function end_start(tmux: TmuxServer, agent: AgentRecord, host: ProcessRef | null): Promise<boolean> {
  const session = agent.tmux_session as string;
  const pane = host ?? (await pane_process(tmux, session));
  if (pane === "unknown" || (await kill_session(tmux, session)) === "unknown") return false;
  if (!pane) return true;
  signal_process(pane, "SIGKILL");
  const deadline = performance.now() + GONE_MS;
  while (is_alive(pane)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return true;
}
