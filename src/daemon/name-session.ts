/**
 * The session of an agent whose host was a spare is the spare's until it is renamed, which is done while the program is launched. The registry says under
 * which name it is found: a crash in between leaves the old one there, and the next daemon goes on. Run by the daemon. Where tmux does not answer
 * the session keeps its name, by which everything else finds it as well.
 */
import type { AgentRecord } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import { session_name } from "../contract/ids.ts";
import { has_session, rename_session } from "../drivers/tmux/sessions.ts";
import { crash_point } from "../faults/crash-point.ts";
import type { Services } from "./services.ts";

/** Gives the agent's session the agent's name. Resolves with the name that it has then, which is still to be recorded. Never rejects. */
export async function name_session(services: Services, agent: AgentRecord): Promise<string> {
  const session = agent.tmux_session as string;
  const name = session_name(agent.id);
  if (session === name) return name;
  try {
    await rename_session(services.tmux, session, name);
    crash_point("spare.renamed");
    return name;
  } catch (error) {
    // A daemon before this one gave it its name, or it died with its tmux server: the next pane is made under the agent's name.
    if ((await has_session(services.tmux, session).catch(() => "unknown")) === false) return name;
    services.log.warn(
      { agent_id: agent.id, session, error: message_of(error) },
      "an agent's session keeps a spare host's name",
    );
    return session;
  }
}
