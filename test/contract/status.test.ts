import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AgentStatus,
  agent_status,
  end_cause,
  is_ended,
  type LifecycleEvent,
  next_status,
} from "../../src/contract/status.ts";

const event = fc.oneof(
  fc.constantFrom<LifecycleEvent>({ type: "launched" }, { type: "admitted" }, { type: "requeued" }),
  fc.constantFrom(...end_cause.options).map((cause): LifecycleEvent => ({ type: "end_begun", cause })),
  fc.record({
    type: fc.constant("ended" as const),
    cause: fc.constantFrom(...end_cause.options),
    exit_code: fc.option(fc.integer({ min: 0, max: 255 })),
  }),
);

describe("the lifecycle", () => {
  test("leaves no end, whatever happens afterwards", () => {
    fc.assert(
      fc.property(fc.constantFrom(...agent_status.options.filter(is_ended)), fc.array(event), (start, events) => {
        for (const one of events) expect([start, null]).toContain(next_status(start, one));
      }),
    );
  });

  test("ends every agent whose end is begun and then done, from wherever it is", () => {
    fc.assert(
      fc.property(fc.array(event), fc.constantFrom(...end_cause.options), (events, cause) => {
        let status: AgentStatus = "queued";
        for (const one of [
          ...events,
          { type: "end_begun", cause } as const,
          { type: "ended", cause, exit_code: 0 } as const,
        ])
          status = next_status(status, one) ?? status;
        expect(is_ended(status)).toBe(true);
      }),
    );
  });

  test("never goes back, except to the queue before it was launched, and comes to an end by an end alone", () => {
    const order = (status: AgentStatus) =>
      is_ended(status) ? 4 : ["queued", "deploying", "running", "stopping"].indexOf(status);
    fc.assert(
      fc.property(fc.array(event), (events) => {
        let status: AgentStatus = "queued";
        for (const one of events) {
          const next: AgentStatus = next_status(status, one) ?? status;
          expect(agent_status.options).toContain(next);
          if (one.type === "requeued" && order(next) < order(status))
            expect([status, next]).toEqual(["deploying", "queued"]);
          else expect(order(next)).toBeGreaterThanOrEqual(order(status));
          if (order(next) > order(status))
            expect(one.type).toBe(
              next === "deploying"
                ? "admitted"
                : next === "running"
                  ? "launched"
                  : next === "stopping"
                    ? "end_begun"
                    : "ended",
            );
          status = next;
        }
      }),
    );
  });

  test("ends in every sequence in which an end is begun and later done", () => {
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const begun = events.findIndex((one) => one.type === "end_begun");
        const done = begun >= 0 && events.slice(begun).some((one) => one.type === "ended");
        let status: AgentStatus = "queued";
        for (const one of events) status = next_status(status, one) ?? status;
        expect(is_ended(status)).toBe(done);
      }),
    );
  });

  test("calls an exit with code 0 completed, any other exit or a signal failed, a kill terminated", () => {
    const end = (cause: "exited" | "kill" | "host_lost", exit_code: number | null) =>
      next_status("stopping", { type: "ended", cause, exit_code });
    expect([end("exited", 0), end("exited", 3), end("exited", null), end("kill", 0), end("host_lost", null)]).toEqual([
      "completed",
      "failed",
      "failed",
      "terminated",
      "lost",
    ]);
  });
});
