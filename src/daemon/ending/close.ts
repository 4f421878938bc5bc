/**
 * The first half of an end, as the daemon sees it: the agent is stopped, emptied, drained and closed, by its host or, where that is gone, from here;
 * the report of that is made durable; then the host, its session and what it left are seen off.
 */
import { basename, dirname } from "node:path";
import { type AgentRecord, type Ending, is_foreign, never_admitted } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { NEVER_RAN } from "../../contract/never-ran.ts";
import { exit_record_path, parts_record_path } from "../../contract/paths.ts";
import { is_out_of_place, remove_some_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { all_of } from "../all-of.ts";
import { read_exit_record } from "../exit-record.ts";
import { track_segments } from "../segments.ts";
import type { Services } from "../services.ts";
import { by_ourselves, nobody_saw } from "./close-by-daemon.ts";
import { by_living_host } from "./close-by-host.ts";
import { find_result } from "./outcome.ts";
import { end_session, release, remove_leftovers } from "./see-off.ts";

/**
 * Fills `ending.closed`, once, and sees host and session off. `record_report` makes the report durable. Run again it asks for no second report, and
 * removes what is left.
 */
export async function close_agent(
  services: Services,
  agent: AgentRecord,
  ending: Ending,
  record_report: () => Promise<void>,
): Promise<void> {
  const record = exit_record_path(services.registry.task_of(agent).dir, agent.id);
  if (is_foreign(agent)) {
    ending.closed = await nobody_saw(
      services,
      agent,
      ending,
      "this agent was started by another program; its tmux session, if there is one, was not touched",
    );
  } else if (never_admitted(agent)) {
    const report = await nobody_saw(services, agent, ending, NEVER_RAN);
    ending.closed ??= { ...report, counted: true };
    await services.queue.let_go(agent);
  } else {
    ending.closed ??=
      (await by_living_host(services, agent, ending)) ??
      (await read_exit_record(record, agent.id)) ??
      (await by_ourselves(services, agent, ending));
    crash_point("end.reported");
  }
  agent.exit = ending.closed.exit;
  // On disk with the report, before a file is moved.
  await track_segments(services, agent);
  // While the log is in its place, and on disk together with the report: set aside, it would not be looked at again.
  ending.result_event ??= await find_result(services, agent, ending);
  // The report is on disk here before the host forgets it.
  await record_report();
  if (!is_foreign(agent) && !never_admitted(agent)) {
    crash_point("end.report_recorded");
    const { notes } = ending.closed;
    // When one fails the other is waited for: the attempt is over, and told so, when nothing of it is under way.
    await all_of([
      release(services, agent, services.hosts.get(agent.id)).then(() => crash_point("end.host_left")),
      end_session(services, agent, notes).then((killed) => {
        ending.session_killed = killed;
        crash_point("end.session_ended");
      }),
    ]);
    await remove_leftovers(services, agent);
  }
  const names = [record, `${record}.new`, parts_record_path(record)].map((path) => basename(path));
  await remove_some_in_place(dirname(record), names).catch((error) => {
    if (!is_out_of_place(error)) throw error;
    services.log.warn({ agent_id: agent.id, error: message_of(error) }, "an exit record was left alone");
  });
  crash_point("end.exit_record_removed");
}
