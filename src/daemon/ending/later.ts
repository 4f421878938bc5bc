/** Sessions that outlived their agent because tmux did not answer: they are ended when it does, and the receipt is amended. */
import { type AgentRecord, is_foreign, never_admitted } from "../../contract/agent.ts";
import type { Services } from "../services.ts";

export function end_session_later(services: Services, agent: AgentRecord): void {
  services.panes.end_later({
    session: agent.tmux_session as string,
    files: [],
    done: async () => {
      const { receipt, ending } = agent;
      if (ending) ending.session_killed = true;
      if (receipt)
        await services.registry.update(agent, {
          receipt: { ...receipt, session_killed: true, amended_at: new Date().toISOString() },
        });
    },
  });
}

/** At a start: what the daemon before us could not end. */
export function resume_sessions(services: Services): void {
  for (const agent of services.registry.agents())
    if (!is_foreign(agent) && !never_admitted(agent) && agent.receipt?.session_killed === false)
      end_session_later(services, agent);
}
