/** What a person finds of an agent beside its log (the seed's `deploy_<agent>.json`): everything but the environment. */
import type { AgentRecord } from "../contract/agent.ts";
import { session_name } from "../contract/ids.ts";

/** From these an agent is known again when its registry was lost, and by the cookie its processes. */
const SHOWN = [
  ...["type", "task_id", "command", "profile", "cwd", "mode", "stdout", "grace_ms", "cleanup", "parent", "depth"],
  ...["started_at", "tracked_files", "limits", "log_limit", "cgroups", "cookie", "prompt"],
] as const satisfies readonly (keyof AgentRecord)[];

export const deploy_log = (agent: AgentRecord): Record<string, unknown> => ({
  agent_id: agent.id,
  ...Object.fromEntries(SHOWN.map((field) => [field, agent[field]])),
  // The one that it has when it runs.
  tmux_session: session_name(agent.id),
});
