import { setTimeout as delay } from "node:timers/promises";
import type { AgentRecord } from "../../../contract/agent.ts";
import { SupervisorError } from "../../../contract/errors.ts";
import { stopped_server } from "../../../drivers/tmux/client.ts";
import { has_session } from "../../../drivers/tmux/sessions.ts";
import type { Services } from "../../services.ts";
import type { Handler } from "../handler.ts";
import { running } from "../running.ts";

/** How long a person waits for a pane that is just being made, in ms; a hundred agents have theirs again sooner. */
const PANE_DEADLINE_MS = 5_000;

export const attach: Handler<"attach"> = async (services, { params }) => {
  const agent = running(services, params.agent);
  const found = await look(services, agent);
  if (found !== true) throw refusal(services, agent, found);
  return { command: ["tmux", "-u", "-S", services.tmux.socket, "attach-session", "-t", `=${agent.tmux_session}`] };
};

/** Whether the agent's session is there. One whose tmux server died gets its new one now. */
async function look(services: Services, agent: AgentRecord): Promise<boolean | "unknown"> {
  const session = agent.tmux_session as string;
  const found = await has_session(services.tmux, session);
  if (found === "unknown" || (found && agent.pane !== "lost")) return found;
  await Promise.race([services.panes.hurry(agent), delay(PANE_DEADLINE_MS, undefined, { ref: false })]);
  return agent.pane === "lost" ? false : has_session(services.tmux, session);
}

function refusal(services: Services, agent: AgentRecord, found: false | "unknown"): SupervisorError {
  const meanwhile = `'supervisor logs -f ${agent.id}' shows what it prints, and send and kill work`;
  if (found === "unknown")
    return new SupervisorError(
      "tmux_failed",
      `${stopped_server(services.tmux) ?? `the tmux server on ${services.tmux.socket} does not answer`}; meanwhile ${meanwhile}`,
    );
  if (agent.pane === "unknown")
    return new SupervisorError(
      "no_pane",
      `${agent.id} has no pane: its host was started by an older supervisor and cannot be given another; ${meanwhile}`,
    );
  return new SupervisorError(
    "no_pane",
    `${agent.id} has no pane at this moment; it is given one as soon as tmux takes it (the supervisor's log says what hinders); ${meanwhile}`,
  );
}
