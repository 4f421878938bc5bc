/**
 * The end of an agent, in eight steps: stop, empty, drain, close (the host does these), set aside, verify, remove, receipt.
 * Each step is idempotent and on disk before it begins, so that a daemon that comes back goes on where the last one stopped. An end that
 * fails (a full disk, say) is tried again by itself until it is complete.
 */
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import type { CleanupPolicy, EndStep, Receipt } from "../../contract/receipt.ts";
import { agent_status, type EndCause, final_status, is_ended } from "../../contract/status.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { all_of } from "../all-of.ts";
import { leave_when_many } from "../retention/leave.ts";
import type { Services } from "../services.ts";
import { keep_receipt } from "./archived-receipt.ts";
import { close_agent } from "./close.ts";
import { EndUnderWay } from "./end-under-way.ts";
import { outcome_of } from "./outcome.ts";
import { make_receipt } from "./receipt.ts";
import { remove_files } from "./remove.ts";
import { set_aside } from "./set-aside.ts";
import { verify_files } from "./verify.ts";

export interface EndRequest {
  cause: EndCause;
  reason: string;
  cleanup: CleanupPolicy;
  grace_ms: number;
}

/**
 * Ends an agent, or joins the end that is under way, or answers the receipt of the end that was. Rejects when an attempt fails, with its
 * reason; the end is tried again nevertheless.
 */
export function end_agent(services: Services, agent: AgentRecord, request: EndRequest): Promise<Receipt> {
  const running = services.ends.get(agent.id);
  if (running !== undefined) {
    hurry(services, agent, request);
    return running.join();
  }
  if (agent.receipt) return Promise.resolve(agent.receipt);
  let told = "";
  const end = new EndUnderWay(
    () => run_end(services, agent, request),
    (error, pause_ms) => {
      const reason = message_of(error);
      services.log[reason === told ? "debug" : "error"](
        { agent_id: agent.id, step: agent.ending?.step, error: reason, pause_ms },
        "an end is not complete; it is tried again by itself",
      );
      if (reason !== told)
        services.events.emit({ type: "agent_end_waiting", agent_id: agent.id, message: `its end waits: ${reason}` });
      told = reason;
    },
    services.halted.signal,
  );
  services.ends.set(agent.id, end);
  const answer = end.join();
  void end.run().finally(() => {
    services.ends.delete(agent.id);
    services.host_states.delete(agent.id);
    if (services.registry.has(agent)) void leave_when_many(services, services.registry.task_of(agent));
  });
  return answer;
}

/** A later, shorter grace cuts the first one short, whoever ends the agent: its host, or the daemon where that is gone, or goes meanwhile. */
function hurry(services: Services, agent: AgentRecord, request: EndRequest): void {
  const { ending } = agent;
  if (request.cause !== "kill" || ending?.step !== "stop") return;
  if (request.grace_ms < ending.grace_ms) {
    ending.grace_ms = request.grace_ms;
    services.ends.get(agent.id)?.cut_short(request.grace_ms);
  }
  const link = services.hosts.get(agent.id);
  if (!link) return;
  link.request({ type: "stop", cause: "kill", signal: "SIGTERM", grace_ms: request.grace_ms }).catch((error) => {
    services.log.warn({ agent_id: agent.id, error: message_of(error) }, "the shorter grace did not reach the host");
  });
}

async function run_end(services: Services, agent: AgentRecord, request: EndRequest): Promise<Receipt> {
  const { registry, events, log } = services;
  const began = performance.now();
  const ending: Ending = agent.ending ?? {
    ...request,
    requested_at: new Date().toISOString(),
    step: "stop",
    closed: null,
    session_killed: false,
    result_event: null,
    set_aside: [],
    files_failed: [],
    duration_ms: {},
  };
  const first = agent.ending === null;
  ending.step = "stop";
  services.queue.drop(agent);
  await registry.advance(agent, { type: "end_begun", cause: ending.cause }, { ending, cleanup_state: "closing" });
  if (first) events.emit({ type: "agent_ending", agent_id: agent.id, message: ending.reason });
  crash_point("end.begun");

  /** The step is on disk before it begins: recorded here, or with what was recorded just before it (each record costs a few syncs of the disk). */
  const record = (name: EndStep, state: AgentRecord["cleanup_state"]): Promise<void> => {
    ending.step = name;
    return registry.update(agent, { ending, cleanup_state: state });
  };
  const timed = async <T>(name: EndStep, work: () => Promise<T>): Promise<T> => {
    const from = performance.now();
    const result = await work();
    ending.duration_ms[name] = performance.now() - from;
    return result;
  };

  await timed("stop", () => close_agent(services, agent, ending, () => record("set_aside", "closing")));
  await services.reports.settled(Object.values(agent.tracked_files));
  const receipt = await services.readers.without(agent.id, async () => {
    const { dir } = registry.task_of(agent);
    await timed("set_aside", () => set_aside(dir, agent, ending));
    crash_point("end.set_aside");
    // A look changes nothing, so that it need not wait for its own record; the removal waits for both.
    const [verdicts] = await timed("verify", () =>
      all_of([verify_files(services.verifier, agent, ending), record("verify", "verifying")]),
    );
    crash_point("end.verified");
    await record("remove", "removing");
    const files = await timed("remove", () => remove_files(dir, ending, verdicts));
    if (ending.cleanup !== "keep") services.audit.note(verdicts, agent.id);
    crash_point("end.removed");
    const outcome = outcome_of(agent, ending);
    const failed_result = outcome.decided_by === "result_event";
    const status = final_status(ending.cause, ending.closed?.exit.code ?? null, failed_result);
    const ended_at = new Date(services.clock.wall_ms()).toISOString();
    const made = { ...make_receipt(agent, ending, files, status, performance.now() - began, ended_at), outcome };
    const waits = files.files_deferred.length > 0;
    await registry.advance(
      agent,
      { type: "ended", cause: ending.cause, exit_code: made.exit.code, failed_result },
      {
        receipt: made,
        exit: made.exit,
        ended_at: made.ended_at,
        ending: waits ? ending : null,
        cleanup_state: waits ? "deferred" : "done",
      },
    );
    return made;
  });
  crash_point("end.receipt_recorded");
  await keep_receipt(services, agent);
  services.metrics.ended(receipt);
  services.alerts.ended(agent, receipt);
  events.emit({ type: "agent_ended", agent_id: agent.id, message: `${receipt.status}: ${ending.reason}` });
  log.info(
    {
      agent_id: agent.id,
      status: receipt.status,
      handles: receipt.cleanup.handles,
      bytes_logged: receipt.cleanup.bytes_logged,
      ...(receipt.cleanup.files_deferred.length > 0 ? { files_wait: why_they_wait(receipt) } : {}),
    },
    "an agent ended",
  );
  return receipt;
}

/** Each reason once: most often all files of an agent wait for the same. */
const why_they_wait = ({ cleanup }: Receipt) => [
  ...new Set(
    cleanup.files_deferred.map(
      ({ reason, holders }) => reason ?? `held by ${holders.map((one) => `${one.command} (${one.pid})`).join(", ")}`,
    ),
  ),
];

/** True for an agent whose end is not over yet. */
export function is_unfinished(agent: AgentRecord): boolean {
  return agent_status.safeParse(agent.status).success && !is_ended(agent.status);
}
