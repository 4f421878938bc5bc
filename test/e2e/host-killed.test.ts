/** SIGKILL of a host: its agent alone is lost, and cleaned up; a deploy that loses its host is undone. */
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import { boot_with_host, expect_no_deploy, HANGS, running_hosts } from "../support/hosts-that-never-serve.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.start();
});
afterEach(() => supervisor.dispose());

const now = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
const files_of = (agent: AgentRecord) =>
  readdirSync(dirname(agent.tracked_files.prompt_file as string), { recursive: true, encoding: "utf8" }).filter(
    (name) => name.includes(agent.id),
  );

test.each(["pty", "pipe"] as const)(
  "a host that is killed among many (--stdout %s) costs its own agent, whose processes and files are cleaned up; the others print on",
  async (stdout) => {
    const agents = await Promise.all(
      Array.from({ length: 8 }, () => supervisor.deploy({ command: [fixture("prints-numbers"), "0.02"], stdout })),
    );
    const [lost, ...others] = agents as [AgentRecord, ...AgentRecord[]];
    for (const agent of agents) await supervisor.printed(agent, "3\n");
    process.kill(((await now(lost)).host as ProcessRef).pid, "SIGKILL");
    expect(await supervisor.client.call("wait", { params: { agent: lost.id } })).toMatchObject({
      status: "lost",
      cause: "host_lost",
      session_killed: true,
      cleanup: { survivors: [], handles: "clear", files_failed: [], files_deferred: [] },
    });
    expect(is_alive(lost.process as ProcessRef)).toBe(false);
    for (const agent of others) {
      expect(await now(agent)).toMatchObject({ status: "running", process: agent.process, host_state: "connected" });
      const { length } = await supervisor.log_text(agent);
      await eventually("it to print on", async () => (await supervisor.log_text(agent)).length > length);
      expect(gap_or_double(await supervisor.log_text(agent))).toBeNull();
    }
  },
);

test.each(["pty", "pipe"] as const)(
  "a host that is killed while it waits for its agent to leave (--stdout %s) leaves the end to the supervisor, which a later kill hurries",
  async (stdout) => {
    const agent = await supervisor.deploy({ command: [fixture("ignores-signals")], stdout });
    await supervisor.printed(agent, "ready");
    const host = (await now(agent)).host as ProcessRef;
    const kill = (grace_ms: number) =>
      supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms } });
    const killing = kill(600_000);
    await eventually("the end to begin", async () => (await now(agent)).status === "stopping");
    process.kill(host.pid, "SIGKILL");
    await eventually("the host to be gone", () => !is_alive(host));
    await kill(0);
    const receipt = await killing;
    expect(receipt.cleanup).toMatchObject({ survivors: [], handles: "clear", files_failed: [] });
    expect(receipt.notes.join()).toContain("what was still in the terminal is not known");
    expect(is_alive(agent.process as ProcessRef)).toBe(false);
    expect(files_of(agent).filter((name) => !name.startsWith("archive/"))).toEqual([]);
  },
);

describe("a host that never serves", () => {
  test("because it dies at once fails the deploy in one line, with nothing left", async () => {
    await supervisor.signal_daemon("SIGTERM");
    await boot_with_host(supervisor, "process.kill(process.pid, 'SIGKILL');");
    expect(await supervisor.cli(["deploy", "--", "sleep", "1"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: .*its host ended before it was ready.*\n$/),
    });
    await expect_no_deploy(supervisor);
  });

  test("because it hangs, until somebody kills it, fails the deploy at that moment, with nothing left", async () => {
    await supervisor.signal_daemon("SIGTERM");
    await boot_with_host(supervisor, HANGS);
    const deploying = supervisor.cli(["deploy", "--", "sleep", "1"]);
    const host = await eventually("the host to run", () => running_hosts(supervisor)[0]);
    process.kill(Number.parseInt(host, 10), "SIGKILL");
    expect(await deploying).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: .*its host ended before it was ready.*\n$/),
    });
    await expect_no_deploy(supervisor);
  });
});
