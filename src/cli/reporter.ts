/** Which agent reports: inside an agent, its own id is known. */
import { SupervisorError } from "../contract/errors.ts";
import type { Context } from "./context.ts";

/** The agent named by `--agent`, else the one this command runs in. */
export function reporter(context: Context, given?: string): { agent: string } {
  const agent = given ?? context.env.SUPERVISOR_AGENT_ID;
  if (!agent)
    throw new SupervisorError("invalid_request", "say which agent reports: --agent ID (inside an agent it is known)");
  return { agent };
}
