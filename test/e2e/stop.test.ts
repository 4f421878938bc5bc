import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
});
