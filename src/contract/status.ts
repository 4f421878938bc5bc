import { z } from "zod";

/** Where an agent is in its life. `queued`: it waits for room, and nothing of it runs. The last four are ends: nothing leaves them. */
export const agent_status = z.enum([
  "queued",
  "deploying",
  "running",
  "stopping",
  "completed",
  "failed",
  "terminated",
  "lost",
]);
export type AgentStatus = z.infer<typeof agent_status>;

/** What set an agent's end in motion. The first cause wins; it decides the final status. */
export const end_cause = z.enum([
  "exited",
  "kill",
  "session_killed",
  "reported_completed",
  "reported_failed",
  "host_lost",
  "deploy_failed",
]);
export type EndCause = z.infer<typeof end_cause>;

/** What can happen to an agent. */
export type LifecycleEvent =
  /** There is room for a queued agent: it is its turn. */
  | { type: "admitted" }
  /** It was its turn, and nothing of it could be started (or was, when the supervisor died): it waits again, at its old place. */
  | { type: "requeued" }
  | { type: "launched" }
  | { type: "end_begun"; cause: EndCause }
  | { type: "ended"; cause: EndCause; exit_code: number | null; failed_result?: boolean };

type EventType = LifecycleEvent["type"];
type Transition = AgentStatus | "stay" | "refuse" | "by_cause";

/**
 * The one table of an agent's life: status × event. Nothing else changes a status.
 * `stay` = the event is a repeat and changes nothing; `refuse` = it cannot happen here, and is a defect if it does;
 * `by_cause` = the final status follows from the cause of the end.
 */
export const LIFECYCLE = {
  queued: { admitted: "deploying", requeued: "stay", launched: "refuse", end_begun: "stopping", ended: "refuse" },
  deploying: { admitted: "stay", requeued: "queued", launched: "running", end_begun: "stopping", ended: "refuse" },
  running: { admitted: "refuse", requeued: "refuse", launched: "stay", end_begun: "stopping", ended: "refuse" },
  stopping: { admitted: "refuse", requeued: "refuse", launched: "stay", end_begun: "stay", ended: "by_cause" },
  completed: { admitted: "refuse", requeued: "refuse", launched: "refuse", end_begun: "stay", ended: "stay" },
  failed: { admitted: "refuse", requeued: "refuse", launched: "refuse", end_begun: "stay", ended: "stay" },
  terminated: { admitted: "refuse", requeued: "refuse", launched: "refuse", end_begun: "stay", ended: "stay" },
  lost: { admitted: "refuse", requeued: "refuse", launched: "refuse", end_begun: "stay", ended: "stay" },
} as const satisfies Record<AgentStatus, Record<EventType, Transition>>;

/**
 * The status an end leads to. An exit is judged by its code; a signal (no code) is a failure. `failed_result`: the agent's stream ended
 * with what its profile calls a failure; some programs leave with 0 all the same.
 */
export function final_status(cause: EndCause, exit_code: number | null, failed_result = false): AgentStatus {
  switch (cause) {
    case "exited":
      return exit_code === 0 && !failed_result ? "completed" : "failed";
    case "reported_completed":
      return "completed";
    case "reported_failed":
    case "deploy_failed":
      return "failed";
    case "kill":
    case "session_killed":
      return "terminated";
    case "host_lost":
      return "lost";
  }
}

/** The next status, or null when the event cannot happen in this status. Pure. */
export function next_status(status: AgentStatus, event: LifecycleEvent): AgentStatus | null {
  const transition: Transition = LIFECYCLE[status][event.type];
  if (transition === "refuse") return null;
  if (transition === "stay") return status;
  if (transition === "by_cause")
    return event.type === "ended" ? final_status(event.cause, event.exit_code, event.failed_result) : null;
  return transition;
}

/** True when the agent has ended, whatever the end was. */
export function is_ended(status: string): boolean {
  return status === "completed" || status === "failed" || status === "terminated" || status === "lost";
}
