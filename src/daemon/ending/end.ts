/**
 * The end of an agent, in eight steps: stop, empty, drain, close (the host does these), set aside, verify, remove, receipt.
 * Each step is idempotent and on disk before it begins, so that a daemon that comes back goes on where the last one stopped.
 */
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import type { CleanupPolicy, EndStep, Receipt } from "../../contract/receipt.ts";
import { agent_status, type EndCause, final_status, is_ended } from "../../contract/status.ts";
import type { Services } from "../services.ts";
import { close_agent } from "./close.ts";
import { find_result, outcome_of } from "./outcome.ts";
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

/** Ends an agent, or joins the end that is under way, or answers the receipt of the end that was. */
export function end_agent(services: Services, agent: AgentRecord, request: EndRequest): Promise<Receipt> {
  if (agent.receipt) return Promise.resolve(agent.receipt);
  const running = services.ends.get(agent.id);
  if (running !== undefined) {
    hurry(services, agent, request);
    return running;
  }
  const end = run_end(services, agent, request).finally(() => {
    services.ends.delete(agent.id);
    services.host_states.delete(agent.id);
  });
  services.ends.set(agent.id, end);
  return end;
}

/** A later, shorter grace cuts the first one short. */
function hurry(services: Services, agent: AgentRecord, request: EndRequest): void {
  const link = services.hosts.get(agent.id);
  if (!link || request.cause !== "kill" || agent.ending?.step !== "stop") return;
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
  await registry.advance(agent, { type: "end_begun", cause: ending.cause }, { ending, cleanup_state: "closing" });
  events.emit({ type: "agent_ending", agent_id: agent.id, message: ending.reason });

  const step = async <T>(name: EndStep, state: AgentRecord["cleanup_state"], work: () => Promise<T>): Promise<T> => {
    ending.step = name;
    await registry.update(agent, { ending, cleanup_state: state });
    const from = performance.now();
    const result = await work();
    ending.duration_ms[name] = performance.now() - from;
    return result;
  };

  if (!ending.closed) await step("stop", "closing", () => close_agent(services, agent, ending));
  ending.result_event ??= await find_result(services, agent, ending);
  await services.readers.close(agent.id);
  await step("set_aside", "closing", () => set_aside(registry.task_of(agent).dir, agent, ending));
  const verdicts = await step("verify", "verifying", () => verify_files(services.verifier, agent, ending));
  const files = await step("remove", "removing", () => remove_files(registry.task_of(agent).dir, ending, verdicts));
  const outcome = outcome_of(agent, ending);
  const failed_result = outcome.decided_by === "result_event";
  const status = final_status(ending.cause, ending.closed?.exit.code ?? null, failed_result);
  const receipt = { ...make_receipt(agent, ending, files, status, performance.now() - began), outcome };
  await registry.advance(
    agent,
    { type: "ended", cause: ending.cause, exit_code: receipt.exit.code, failed_result },
    {
      receipt,
      exit: receipt.exit,
      ended_at: receipt.ended_at,
      ending: receipt.cleanup.files_deferred.length > 0 ? ending : null,
      cleanup_state: receipt.cleanup.files_deferred.length > 0 ? "deferred" : "done",
    },
  );
  events.emit({ type: "agent_ended", agent_id: agent.id, message: `${status}: ${ending.reason}` });
  log.info(
    { agent_id: agent.id, status, handles: receipt.cleanup.handles, bytes_logged: receipt.cleanup.bytes_logged },
    "an agent ended",
  );
  return receipt;
}

/** True for an agent whose end is not over yet. */
export function is_unfinished(agent: AgentRecord): boolean {
  return agent_status.safeParse(agent.status).success && !is_ended(agent.status);
}
