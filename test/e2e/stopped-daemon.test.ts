import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connect_at_once } from "../support/sockets.ts";
import { eventually, fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

describe("a daemon that is stopped (SIGSTOP)", () => {
  let supervisor: TestSupervisor;
  let pid: number;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    ({ pid } = await supervisor.boot());
  });
  afterEach(async () => {
    process.kill(pid, "SIGCONT");
    await supervisor.dispose();
  });

  /** A command under way. */
  const begin = (args: string[]) => {
    const child = spawn(process.execPath, [SUPERVISOR, ...args, "--workspace", supervisor.workspace], {
      env: supervisor.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        text[name] += chunk;
      });
    const ran = new Promise<{ code: number | null; stdout: string }>((resolve) =>
      child.once("close", (code) => resolve({ code, stdout: text.stdout })),
    );
    return { ran, stderr: () => text.stderr, over: () => child.exitCode !== null };
  };

  test("is said by every command that waits for it, with its pid; agents go on, and nothing is lost when it goes on", async () => {
    const command = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"];
    const agent = await supervisor.deploy({ command });
    const other = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "5\n");
    process.kill(pid, "SIGSTOP");
    const size = (await supervisor.log_text(agent)).length;
    const asked = [
      ["ps", "--json"],
      ["status", agent.id, "--json"],
      ["kill", other.id, "--json"],
      ["wait", other.id],
    ].map((args) => begin(args));
    // A second daemon does not take a stopped one's workspace.
    expect(await supervisor.cli(["start"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("already serves"),
    });
    await eventually("the agent to print on", async () => (await supervisor.log_text(agent)).length > size + 300);
    const said = `supervisor: the supervisor (pid ${pid}) is stopped; continue it with 'kill -CONT ${pid}'. Waiting on; Ctrl-C gives up.\n`;
    await eventually("every command to say it", () => asked.every((one) => one.stderr().includes(said)));
    expect(asked.map((one) => one.over())).toEqual([false, false, false, false]);
    process.kill(pid, "SIGCONT");
    const [ps, status, kill, wait] = await Promise.all(asked.map((one) => one.ran));
    // Once each. Under load a kill may say besides what it waits for.
    expect(asked.map((one) => one.stderr().split(said).length - 1)).toEqual([1, 1, 1, 1]);
    expect(ps?.code).toBe(0);
    expect(JSON.parse(status?.stdout ?? "")).toMatchObject({ id: agent.id, status: "running" });
    expect(JSON.parse(kill?.stdout ?? "")).toMatchObject({ success: true, status: "terminated" });
    expect(wait?.code).toBe(143);
    await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    const lines = (await supervisor.log_text(agent)).trim().split("\n").map(Number);
    expect(lines).toEqual(lines.map((_, i) => i + 1));
  });

  test("and has a full queue of connections is waited for in the same way", async () => {
    process.kill(pid, "SIGSTOP");
    const crowd: Socket[] = [];
    const full = async () => {
      for (;;) crowd.push(await connect_at_once(supervisor.socket));
    };
    try {
      await expect(full()).rejects.toMatchObject({ code: "EAGAIN" });
      const ps = begin(["ps", "--json"]);
      const call = supervisor.client.call("health");
      await eventually("the command to say it", () => ps.stderr().includes(`(pid ${pid}) is stopped`));
      expect(ps.over()).toBe(false);
      for (const socket of crowd) socket.destroy();
      process.kill(pid, "SIGCONT");
      expect((await ps.ran).code).toBe(0);
      expect((await call).ok).toBe(true);
    } finally {
      for (const socket of crowd) socket.destroy();
    }
  });
});
