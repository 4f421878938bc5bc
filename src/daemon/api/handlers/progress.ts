import { is_foreign } from "../../../contract/agent.ts";
import { end_agent } from "../../ending/end.ts";
import { open_book } from "../../open-book.ts";
import { own_file } from "../../own-file.ts";
import type { Handler } from "../handler.ts";
import { reporting } from "../reporting.ts";

export const progress: Handler<"progress"> = async (services, { params, body }) => {
  const { status, message, reporter } = body;
  // Opened first: between the check and the append nothing may wait, or an end could come between.
  const book = await open_book(services, services.registry.task_of(services.registry.find(params.agent)));
  const agent = reporting(services, params.agent, reporter);
  const own_update = {
    timestamp: new Date().toISOString(),
    agent_id: agent.id,
    status,
    message,
    progress: body.progress ?? agent.progress,
  };
  const path = own_file(services, agent, "progress_file");
  if (path) await services.reports.append(path, own_update);
  book.add_progress(own_update);
  services.registry.note(agent, { progress: own_update.progress, message });
  services.events.emit({
    type: "progress",
    agent_id: agent.id,
    message: `${own_update.progress} % ${status}: ${message}`,
  });
  const cause = status === "completed" ? "reported_completed" : status === "failed" ? "reported_failed" : null;
  if (cause && !is_foreign(agent)) {
    end_agent(services, agent, {
      cause,
      reason: `the agent reported ${status}`,
      cleanup: agent.cleanup,
      grace_ms: agent.grace_ms,
    }).catch((error) => services.log.error({ agent_id: agent.id, error: String(error) }, "an end did not finish"));
    // The answer promises that the report counts: the end that it began is on disk, whatever becomes of this daemon.
    await services.registry.update(agent, {});
  }
  const note = note_on(status);
  return { success: true, own_update, coordination_info: book.coordination(agent.id), ...(note ? { note } : {}) };
};

/** Words that somebody may take for an end of the work. */
const LIKE_COMPLETED = /^(done|complete|success|succeeded|successful|finished?|ok)$/i;
const LIKE_FAILED = /^(fail|failure|error|errored|abort|aborted)$/i;

function note_on(status: string): string | null {
  if (status === "completed" || status === "failed") return null;
  const word = status.trim();
  const meant =
    LIKE_COMPLETED.test(word) || /^completed$/i.test(word)
      ? "completed"
      : LIKE_FAILED.test(word) || /^failed$/i.test(word)
        ? "failed"
        : null;
  return (
    meant &&
    `'${status}' was recorded and ends nothing: only the statuses 'completed' and 'failed' end an agent; if its work is over, report '${meant}'`
  );
}
