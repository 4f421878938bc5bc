/** A deploy's outcome: it runs, or what was done is taken back and the error says which step failed. */
import { deferred } from "../../contract/deferred.ts";
import { is_disk_trouble, is_errno, is_used_up, message_of, SupervisorError, trouble } from "../../contract/errors.ts";
import { end_agent } from "../ending/end.ts";
import { take_back } from "../take-back.ts";
import type { Deploying } from "./deploying.ts";

/** Runs a deploy's steps; when one fails, takes the others back and says which. */
export async function see_through(run: Deploying, steps: () => Promise<void>): Promise<void> {
  const { services, agent, undo } = run;
  const finished = deferred();
  services.deploys.set(agent.id, finished.promise);
  try {
    await steps();
  } catch (error) {
    if (undo.length === 0) {
      await end_agent(services, agent, {
        cause: "deploy_failed",
        reason: message_of(error),
        cleanup: "archive",
        grace_ms: agent.grace_ms,
      });
      throw error;
    }
    const left = await take_back(services, agent, undo);
    const then = left === null ? "" : `; what was made is still to be removed (${left}), and is as soon as that can be`;
    if (error instanceof SupervisorError)
      throw new SupervisorError(error.code, `${agent.id} was not deployed (${run.step}): ${error.message}${then}`);
    if (is_disk_trouble(error) || is_used_up(error) || is_errno(error, "EACCES")) {
      throw new SupervisorError(
        is_used_up(error) ? "out_of_resources" : "workspace_unusable",
        `the agent was not deployed (${run.step}): ${trouble(error)}; nothing was started${then}`,
      );
    }
    throw error;
  } finally {
    services.deploys.delete(agent.id);
    services.spares.fill();
    finished.resolve();
    // One that was undone has left its room.
    services.queue.pump();
  }
}
