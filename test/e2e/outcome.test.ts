import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

const CONFIG = `profiles:
  worker:
    command: sh
    args: [-c]
    result_event:
      completed: [{ kind: end, "state.name": [done, fine] }]
      failed: [{ kind: end, "state.name": broken }]
`;
const DONE = '{"kind":"end","state":{"name":"done"}}';
const BROKEN = '{"kind":"end","state":{"name":"broken"},"secret":"s3cret"}';
/** Waits for the file 'go' and leaves. Says so if it is sent TERM before. */
const LEAVES = "trap 'echo TERM; exit 9' TERM; echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 0";

describe("the outcome of an agent's work", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    writeFileSync(`${supervisor.root}/supervisor.config.yaml`, CONFIG);
    await supervisor.boot();
  });
  afterEach(() => supervisor.dispose());

  const report = (agent: AgentRecord, status: string) =>
    supervisor.client.call("progress", { params: { agent: agent.id }, body: { status, message: "over" } });
  const receipt_of = (agent: AgentRecord) => supervisor.client.call("wait", { params: { agent: agent.id } });
  const work = (script: string) =>
    supervisor.client.call("deploy", {
      body: {
        profile: "worker",
        args: [script],
        cwd: supervisor.root,
        env: { PATH: supervisor.env.PATH as string, TEST_MARK: supervisor.root },
      },
    });

  test("reported by the agent gives it its grace to leave by itself, and no signal is sent", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", LEAVES] });
    await supervisor.printed(agent, "ready");
    await report(agent, "completed");
    writeFileSync(`${supervisor.root}/go`, "");
    expect(await receipt_of(agent)).toMatchObject({
      status: "completed",
      cause: "reported_completed",
      exit: { code: 0 },
      signals: [],
      outcome: { exit: "completed", report: "completed", result_event: null, decided_by: "report", agrees: true },
      cleanup: { bytes_logged: 6 },
    });
  });

  test("reported by an agent that does not leave is followed by TERM when its grace is over, and its exit then says nothing", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", LEAVES], grace_ms: 2_000 });
    await supervisor.printed(agent, "ready");
    await report(agent, "failed");
    expect(await receipt_of(agent)).toMatchObject({
      status: "failed",
      exit: { code: 9 },
      signals: [{ signal: "SIGTERM" }],
      outcome: { exit: null, report: "failed", decided_by: "report", agrees: true },
    });
    expect((await supervisor.cli(["wait", agent.id])).code).toBe(9);
  });

  test.each([
    ["completed", "echo ready; sleep 1000", "SIGTERM", 0],
    ["completed", "trap 'exit 7' TERM; echo ready; sleep 1000 & wait", null, 0],
    ["failed", "echo ready; sleep 1000", "SIGTERM", 1],
    ["failed", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait", null, 1],
  ] as const)(
    "reported as %s by an agent that is then sent TERM (%s) is what 'wait' exits with",
    async (status, script, signal, code) => {
      // As long as it may take to leave after TERM, too.
      const agent = await supervisor.deploy({ command: ["sh", "-c", script], grace_ms: 2_000 });
      await supervisor.printed(agent, "ready");
      await report(agent, status);
      const waited = await supervisor.cli(["wait", agent.id, "--json"]);
      expect(JSON.parse(waited.stdout)).toMatchObject({ status, exit: { signal }, outcome: { exit: null } });
      expect(waited.code).toBe(code);
    },
  );

  test("reported long before the grace is over does not hold up a kill", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", LEAVES], grace_ms: 3_600_000 });
    await supervisor.printed(agent, "ready");
    await report(agent, "completed");
    await eventually(
      "the end to begin",
      async () => (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).status === "stopping",
    );
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 60_000 } });
    expect(receipt).toMatchObject({ cause: "reported_completed", exit: { code: 9 } });
  });

  test("reported before the supervisor is killed is what counts when it comes back", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", LEAVES], grace_ms: 3_600_000 });
    await supervisor.printed(agent, "ready");
    await report(agent, "completed");
    await supervisor.signal_daemon("SIGKILL");
    writeFileSync(`${supervisor.root}/go`, "");
    await supervisor.boot();
    expect(await receipt_of(agent)).toMatchObject({
      status: "completed",
      signals: [],
      outcome: { report: "completed" },
    });
  });

  test("is what its exit says, unless its profile knows its last result as a failure", async () => {
    const cases = [
      [`echo '${BROKEN}'; echo '${DONE}'; echo bye`, "completed", "exit", "completed", "completed", true],
      [`echo '${DONE}'; echo '${BROKEN}'; exit 0`, "failed", "result_event", "completed", "failed", false],
      [`printf '%s' '${DONE}'; exit 3`, "failed", "exit", "failed", "completed", false],
      ["echo nothing", "completed", "exit", "completed", null, true],
    ] as const;
    const agents = await Promise.all(cases.map(([script]) => work(script)));
    for (const [index, [, status, decided_by, exit, result, agrees]] of cases.entries()) {
      const receipt = await receipt_of(agents[index] as AgentRecord);
      expect(receipt, cases[index]?.[0]).toMatchObject({ status, outcome: { exit, report: null, decided_by, agrees } });
      expect(receipt.outcome?.result_event?.status ?? null).toBe(result);
      // What the agent printed stays in its log.
      expect(JSON.stringify(receipt)).not.toContain("s3cret");
      expect(await supervisor.client.call("get_agent", { params: { agent: receipt.agent_id } })).toMatchObject({
        status,
      });
    }
    const shown = await supervisor.cli(["status", agents[1]?.id as string]);
    expect(shown.stdout).toContain(
      "outcome    its exit says completed, its stream says failed; they do not agree: its stream counts\n",
    );
  });

  test("of an agent without a profile is told by the looks of its last lines, and only noted", async () => {
    const failed = '{"type":"result","subtype":"error_max_turns","is_error":true}';
    const agent = await supervisor.deploy({ command: ["sh", "-c", `echo '${failed}'`] });
    expect(await receipt_of(agent)).toMatchObject({
      status: "completed",
      outcome: {
        exit: "completed",
        result_event: { status: "failed", declared: false, event: { type: "result", is_error: true } },
        decided_by: "exit",
        agrees: false,
      },
    });
    const far_back = await supervisor.deploy({ command: ["sh", "-c", `echo '${failed}'; seq 30`] });
    expect((await receipt_of(far_back)).outcome?.result_event).toBeNull();
  });

  test("of an agent that is killed is that it was killed", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "ready");
    expect((await supervisor.client.call("kill", { params: { agent: agent.id } })).outcome).toEqual({
      exit: null,
      report: null,
      result_event: null,
      decided_by: "cause",
      agrees: true,
    });
  });
});
