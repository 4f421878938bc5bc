import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { is_alive } from "../../src/drivers/procfs.ts";
import { eventually, fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

describe("supervisor stop", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  /** Who serves, as the workspace says. */
  const daemon = () => JSON.parse(readFileSync(join(supervisor.workspace, "daemon.json"), "utf8"));

  test("answers when the supervisor has gone, ends under way finished: a start right after it meets nobody", async () => {
    const going_on = await supervisor.deploy({ command: [fixture("idles")] });
    const ending = await supervisor.deploy({ command: [fixture("ignores-signals")], grace_ms: 1_500 });
    await supervisor.printed(ending, "ready");
    const served_by = daemon();
    // It answers with the receipt, or goes away with the supervisor.
    const killed = supervisor.client.call("kill", { params: { agent: ending.id }, body: {} }).catch(() => null);
    await eventually(
      "the end to be under way",
      async () => (await supervisor.client.call("get_agent", { params: { agent: ending.id } })).status !== "running",
    );
    const ran = await supervisor.cli(["stop"]);
    expect(is_alive(served_by)).toBe(false);
    expect(ran).toMatchObject({ code: 0, stdout: "the supervisor has stopped; 1 agent goes on\n", stderr: "" });
    supervisor.forget_daemon();
    await killed;
    await supervisor.boot();
    expect((await supervisor.client.call("get_agent", { params: { agent: ending.id } })).status).toBe("terminated");
    expect((await supervisor.client.call("get_agent", { params: { agent: going_on.id } })).status).toBe("running");
  });

  test("with --agents leaves a workspace that can be removed at once, and stays so", async () => {
    await supervisor.deploy({ command: [fixture("idles")] });
    const ran = await supervisor.shell(`${SUPERVISOR} stop --agents --json && rm -r ws`);
    supervisor.forget_daemon();
    expect(ran.stderr).toBe("");
    expect(JSON.parse(ran.stdout)).toMatchObject({ agents_running: 0, receipts: [{ success: true }] });
    expect(supervisor.daemon_stderr).not.toContain("ENOENT");
  });

  test("leaves no runtime directory, also where a tmux client left the lock of a start that it did not make", async () => {
    await supervisor.deploy({ command: [fixture("idles")] });
    const { runtime_dir, tmux_socket } = await supervisor.client.call("health");
    writeFileSync(`${tmux_socket}.lock`, "");
    await supervisor.client.call("stop", { body: { agents: true } });
    await eventually("the supervisor to leave", () => supervisor.daemon_exited);
    supervisor.forget_daemon();
    expect(existsSync(runtime_dir)).toBe(false);
  });

  test.each(["in order", "killed"])(
    "which ends %s is told to who follows events or an output, with what to do next",
    async (how) => {
      const { id } = await supervisor.deploy({ command: ["sh", "-c", "echo here; exec sleep 1000"] });
      const followers = await Promise.all([follow("events", "-f"), follow("logs", "-f", id)]);
      await supervisor.signal_daemon(how === "killed" ? "SIGKILL" : "SIGTERM");
      for (const ended of followers)
        expect(await ended()).toMatchObject({
          code: 1,
          stderr: expect.stringMatching(
            `^supervisor: the supervisor went away while it answered \\(.*\\); is it still running\\? \\('supervisor ps --workspace ${supervisor.workspace}'\\)\n$`,
          ),
        });
      await supervisor.boot();
    },
  );

  test("with --agents says that agents may go on where the last supervisor left its address, and nothing of any where none did", async () => {
    await supervisor.deploy({ command: [fixture("idles")] });
    const option = ` --workspace ${supervisor.workspace}`;
    const nobody = `supervisor: no supervisor is running for ${supervisor.workspace}; start one with 'supervisor start${option}'`;
    expect((await supervisor.cli(["stop"])).code).toBe(0);
    supervisor.forget_daemon();
    expect(await supervisor.cli(["stop", "--agents"])).toEqual({
      code: 3,
      stdout: "",
      stderr: `${nobody}; it takes up the agents that the last one left, if any go on, and 'supervisor stop --agents${option}' ends them then\n`,
    });
    expect((await supervisor.cli(["stop"])).stderr).toBe(`${nobody}\n`);
    await supervisor.boot();
    expect((await supervisor.cli(["stop", "--agents"])).code).toBe(0);
    supervisor.forget_daemon();
    expect((await supervisor.cli(["stop", "--agents"])).stderr).toBe(
      `supervisor: no supervisor is running for ${supervisor.workspace}, and none left its address there: there is nothing to stop\n`,
    );
  });

  /** Starts the command and waits until it shows something. Returns what tells how it ended. */
  async function follow(...args: string[]) {
    const child = spawn(process.execPath, [SUPERVISOR, ...args, "--workspace", supervisor.workspace], {
      env: supervisor.env,
      cwd: supervisor.root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stderr = text(child.stderr);
    const closed = once(child, "close");
    await once(child.stdout, "data");
    child.stdout.resume();
    return async () => ({ code: (await closed)[0] as number, stderr: await stderr });
  }
});
