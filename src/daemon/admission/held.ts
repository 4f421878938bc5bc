/**
 * What a queued agent needs for its start and may never be on disk: its environment. It is held in the memory of the private tmux server, as a
 * server option that nothing shows or pastes, so that it outlives the daemon; it goes to the server over its private socket, never in argv. The daemon
 * owns the options. A server that is slow or frozen makes a call fail at tmux's deadline ("unknown", never "gone"); one that died has lost what it held: a
 * daemon that lives has it too and hands it to the next server, one that starts ends those agents as failed.
 */
import { SupervisorError } from "../../contract/errors.ts";
import type { TmuxServer } from "../../drivers/tmux/client.ts";
import { held_options, hold_option, release_option } from "../../drivers/tmux/options.ts";
import type { DeployPlan } from "../profiles/plan.ts";

const PREFIX = "@queued_";

/** Base64url: letters that no reader of tmux commands takes for anything else. The prompt is in its file, unless it becomes an argument. */
const packed = (plan: DeployPlan) => {
  const prompt = plan.profile_of?.prompt === "argument" ? plan.prompt : undefined;
  return Buffer.from(JSON.stringify({ ...plan, prompt, caller_env: {} })).toString("base64url");
};

/** Holds it, in a server that is started if none runs. Rejects with `tmux_failed`. */
export const hold = (tmux: TmuxServer, agent_id: string, plan: DeployPlan) =>
  hold_option(tmux, PREFIX + agent_id, packed(plan));

/** Forgets it. Rejects with `tmux_failed` when tmux does not answer. */
export const let_go = (tmux: TmuxServer, agent_id: string) => release_option(tmux, PREFIX + agent_id);

/** Everything that is held, by agent. Rejects with `tmux_failed` when nobody can tell. */
export async function all_held(tmux: TmuxServer): Promise<Map<string, DeployPlan>> {
  const held = new Map<string, DeployPlan>();
  for (const [name, value] of await held_options(tmux, PREFIX)) {
    try {
      held.set(name.slice(PREFIX.length), JSON.parse(Buffer.from(value, "base64url").toString()) as DeployPlan);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new SupervisorError("tmux_failed", `the option ${name} of the tmux server is not as it was set`);
    }
  }
  return held;
}
