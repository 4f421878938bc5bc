/** Which agent reports: inside an agent, its own id is known. */
import { SupervisorError } from "../contract/errors.ts";
import type { Context } from "./context.ts";

/** The agent named by `--agent`, else the one this command runs in; and who says so, if an agent does: it may report for itself alone. */
export function reporter_of(context: Context, given?: string): { agent: string; reporter: string | undefined } {
  const inside = context.env.SUPERVISOR_AGENT_ID;
  const agent = given ?? inside;
  if (!agent)
    throw new SupervisorError("invalid_request", "say which agent reports: --agent ID (inside an agent it is known)");
  return { agent, reporter: inside };
}
