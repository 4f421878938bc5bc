/** A host that lives, is connected, and does not answer: its agent runs on, everybody is told in a line, and a kill ends the agent with proof. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import { needs } from "../support/disks.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { freeze, NO_FREEZER, stop_connected_host } from "../support/silent-host.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.start();
});
afterEach(() => supervisor.dispose());

const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });

describe("a host that is stopped while its supervisor is connected", () => {
  test("is said by status and ps with what to do; send and set are refused in one line and change nothing; logs go on being read", async () => {
    const agent = await supervisor.deploy({ command: ["cat"], mode: "interactive" });
    await supervisor.client.call("send", { params: { agent: agent.id }, body: { text: "before" } });
    await supervisor.printed(agent, "before\r\nbefore\r\n");
    const host = await stop_connected_host(supervisor, agent);
    const hint = `its host (pid ${host.pid}) is stopped; continue it with 'kill -CONT ${host.pid}'`;

    expect((await supervisor.cli(["status", agent.id])).stdout).toContain(`HOST       unresponsive: ${hint}`);
    expect((await supervisor.cli(["ps"])).stdout).toContain("running, host unresponsive");
    expect(await supervisor.cli(["send", agent.id, "lost"])).toEqual({
      code: 1,
      stdout: "",
      stderr: `supervisor: ${agent.id}: ${hint}; nothing was typed\n`,
    });
    expect(await supervisor.cli(["set", agent.id, "--log-max", "1MB"])).toEqual({
      code: 1,
      stdout: "",
      stderr: `supervisor: ${agent.id}: ${hint}; the limit stays as it was\n`,
    });
    expect((await supervisor.cli(["logs", agent.id])).stdout).toContain("before");
    expect((await get(agent)).log_limit.max_bytes).toBeNull();

    process.kill(host.pid, "SIGCONT");
    await eventually("it to be connected again", async () => (await get(agent)).host_state === "connected");
    expect((await supervisor.cli(["send", agent.id, "after"])).code).toBe(0);
    await supervisor.printed(agent, "after\r\nafter\r\n");
    expect(await supervisor.log_text(agent)).not.toContain("lost");
  });

  test("does not keep its agent from being killed, with every byte and proof", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.02"] });
    await supervisor.printed(agent, "3\n");
    const host = await stop_connected_host(supervisor, agent);
    const ran = await supervisor.cli(["kill", agent.id, "--cleanup", "keep", "--json"]);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      success: true,
      status: "terminated",
      session_killed: true,
      cleanup: { survivors: [], handles: "clear", bytes_accounted: true },
    });
    expect(gap_or_double(await supervisor.log_text(agent))).toBeNull();
    expect([is_alive(host), is_alive(agent.process as NonNullable<AgentRecord["process"]>)]).toEqual([false, false]);
  });
});

test.skipIf(NO_FREEZER)(
  needs(
    NO_FREEZER,
    "a host that hangs is found out when somebody asks: send says so in one line, status and further sends with it, until it answers",
  ),
  async () => {
    const agent = await supervisor.deploy({ command: ["cat"], mode: "interactive" });
    const thaw = await freeze(supervisor, (await get(agent)).host?.pid as number);
    const send = await supervisor.cli(["send", agent.id, "late"]);
    expect(send).toEqual({
      code: 1,
      stdout: "",
      stderr: `supervisor: the host of ${agent.id} did not answer in 3000 ms; the text may be typed when it goes on; 'supervisor kill ${agent.id} --workspace ${supervisor.workspace}' ends the agent without it\n`,
    });
    const silent = `the host of ${agent.id} does not answer`;
    expect(await get(agent)).toMatchObject({
      status: "running",
      host_state: "unresponsive",
      host_state_reason: silent,
    });
    expect(await supervisor.cli(["send", agent.id, "never"])).toMatchObject({
      code: 1,
      stderr: `supervisor: ${silent}; nothing was typed\n`,
    });
    thaw();
    await eventually("it to be connected again", async () => (await get(agent)).host_state === "connected");
    await supervisor.printed(agent, "late\r\nlate\r\n");
    expect(await supervisor.log_text(agent)).not.toContain("never");
  },
);
