/** A host that hangs for good, at each stage of its life: whoever waits for it has a deadline, and it is ended together with its agent. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import type { CrashPoint } from "../../src/faults/crash-point.ts";
import { needs } from "../support/disks.ts";
import { boot_with_host, expect_no_deploy, expect_no_host, HANGS } from "../support/hosts-that-never-serve.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { freeze, NO_FREEZER } from "../support/silent-host.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
});
afterEach(() => supervisor.dispose());

/** Boots so that hosts hang at this point: they write to a named pipe there, and nobody reads it. */
const boot_with_hang = async (point: CrashPoint) => {
  const pipe = join(supervisor.root, "nobody-reads");
  execFileSync("mkfifo", [pipe]);
  supervisor.env.SUPERVISOR_CRASH_AT = `${point}:${pipe}`;
  await supervisor.boot();
  delete supervisor.env.SUPERVISOR_CRASH_AT;
};
const all = () => supervisor.client.call("list_agents", { query: { all: true } });

describe("a host that hangs", () => {
  test("while it boots, deaf to the end of its pane, fails the deploy at its deadline; it is ended as well", async () => {
    await boot_with_host(supervisor, HANGS);
    const ran = await supervisor.cli(["deploy", "--", "sleep", "1"]);
    expect(ran).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: .*its host was not ready in 20000 ms.*\n$/),
    });
    await expect_no_deploy(supervisor);
  });

  test("while it waits for its launch fails the deploy in one line, with nothing left, itself included", async () => {
    await boot_with_hang("host.listening");
    const ran = await supervisor.cli(["deploy", "--", fixture("idles")]);
    expect(ran).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^supervisor: .*did not answer 'hello' in 10000 ms.*\n$/),
    });
    await expect_no_deploy(supervisor);
  });

  test("in the middle of the launch fails the deploy; the agent has a receipt, and nothing of it or its host is left", async () => {
    await boot_with_hang("host.launch_received");
    const ran = await supervisor.cli(["deploy", "--", fixture("idles")]);
    expect(ran).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^supervisor: .*did not answer 'launch' in 10000 ms.*\n$/),
    });
    const [agent] = await all();
    expect(agent).toMatchObject({
      status: "failed",
      receipt: { cause: "deploy_failed", session_killed: true, cleanup: { survivors: [], handles: "clear" } },
    });
    await expect_no_host(supervisor);
  });

  test.each(["host.listening", "host.launch_received"] as const)(
    "at %s, and is found so by the next supervisor, is unresponsive until a kill ends it",
    async (point) => {
      await boot_with_hang(point);
      const deploying = supervisor.deploy({ command: [fixture("idles")] }).catch(() => null);
      await eventually("the host to be there, and to hang", async () => {
        const { runtime_dir } = await supervisor.client.call("health");
        const served = readdirSync(runtime_dir).some((name) => /^\d{6}-.*\.sock$/.test(name));
        return served && (point === "host.listening" || (await all())[0]?.host_state === "connected");
      });
      await supervisor.signal_daemon("SIGKILL");
      await deploying;
      await supervisor.boot();
      const id = await eventually("it to be unresponsive", async () =>
        (await all()).find((one) => one.host_state === "unresponsive"),
      ).then((one) => one.id);
      const receipt = await supervisor.client.call("kill", { params: { agent: id } });
      expect(receipt.cleanup).toMatchObject({ survivors: [], handles: "clear", files_failed: [], files_deferred: [] });
      // Continued (5 s), told by a signal and deaf to it (10 s), killed: a half of what a host has that is slow to end its agent.
      expect(receipt.cleanup.duration_ms.stop).toBeLessThan(30_000);
      await expect_no_host(supervisor);
    },
  );

  test("when it has said its last word is killed a few seconds later; the receipt is whole", async () => {
    await boot_with_hang("host.reported");
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
    await supervisor.printed(agent, "ready");
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      success: true,
      status: "terminated",
      cleanup: { survivors: [], handles: "clear", bytes_logged: 6 + 20_480, bytes_accounted: true },
    });
    await expect_no_host(supervisor);
  });

  test.skipIf(NO_FREEZER)(
    needs(
      NO_FREEZER,
      "while its agent runs is found out by status; a kill ends the agent all the same, with proof, and says what nobody knows",
    ),
    async () => {
      await supervisor.boot();
      const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.02"] });
      await supervisor.printed(agent, "3\n");
      const get = () => supervisor.client.call("get_agent", { params: { agent: agent.id } });
      const host = (await get()).host as ProcessRef;
      await freeze(supervisor, host.pid);
      expect(await get()).toMatchObject({ status: "running", host_state: "unresponsive" });
      const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
      expect(receipt).toMatchObject({ status: "terminated", cleanup: { survivors: [], handles: "clear" } });
      expect(receipt.notes.join()).toContain("what was still in the terminal is not known");
      expect(gap_or_double(await supervisor.log_text(agent))).toBeNull();
      expect([host, agent.process as ProcessRef].map(is_alive)).toEqual([false, false]);
      await expect_no_host(supervisor);
    },
  );
});
