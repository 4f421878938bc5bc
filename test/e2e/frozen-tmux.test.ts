import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { read_process } from "../../src/drivers/procfs.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe("a tmux server that is frozen (SIGSTOP)", () => {
  let supervisor: TestSupervisor;
  let frozen = 0;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(async () => {
    if (frozen) process.kill(frozen, "SIGCONT");
    frozen = 0;
    await supervisor.dispose();
  });

  const health = () => supervisor.client.call("health");
  const tmux = async (command: string) => supervisor.shell(`tmux -u -S ${(await health()).tmux_socket} ${command}`);
  const freeze = async () => {
    frozen = Number((await tmux("display-message -p '#{pid}'")).stdout);
    process.kill(frozen, "SIGSTOP");
    await eventually("the server to be stopped", () => read_process(frozen)?.state === "T");
    return frozen;
  };
  const thaw = () => {
    process.kill(frozen, "SIGCONT");
    frozen = 0;
  };
  const now = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
  const one_line = (text: string) => expect(text.trim().split("\n"), text).toHaveLength(1);

  test("is said by deploy and attach in one line with its pid; an end goes on without it and is completed when it goes on", async () => {
    const [first, second] = (await Promise.all(
      [1, 2].map(() => supervisor.deploy({ command: [fixture("idles")] })),
    )) as [AgentRecord, AgentRecord];
    const pid = await freeze();
    const hint = `the tmux server (pid ${pid}) is stopped; continue it with 'kill -CONT ${pid}'`;

    const deploy = await supervisor.cli(["deploy", "--", "true"]);
    expect(deploy).toMatchObject({ code: 1, stderr: expect.stringContaining(hint) });
    one_line(deploy.stderr);
    const attach = await supervisor.cli(["attach", second.id, "--json"]);
    expect(attach).toMatchObject({ code: 1, stderr: expect.stringContaining(hint) });
    expect(JSON.parse(attach.stdout)).toMatchObject({ success: false, code: "tmux_failed" });

    const receipt = await supervisor.client.call("kill", { params: { agent: first.id } });
    expect(receipt).toMatchObject({
      success: true,
      session_killed: false,
      cleanup: { handles: "clear", survivors: [] },
    });
    expect(receipt.notes.join()).toContain(`the session ${first.tmux_session} is ended when it does`);

    // A daemon that is killed, and one that starts while tmux is frozen, remembers what is to be done.
    await supervisor.signal_daemon("SIGKILL");
    await supervisor.boot();
    expect((await now(second)).status).toBe("running");
    expect((await supervisor.cli(["attach", second.id, "--json"])).stderr).toContain(hint);
    expect((await now(first)).receipt?.session_killed).toBe(false);

    thaw();
    await eventually("the receipt to be amended", async () => (await now(first)).receipt?.session_killed);
    expect((await now(first)).receipt?.amended_at).toEqual(expect.any(String));
    // What the refused deploy had asked for may be begun by now, and is ended.
    await expect
      .poll(async () => (await tmux("list-sessions -F '#{session_name}'")).stdout)
      .toBe(`${second.tmux_session}\n`);
    expect((await supervisor.cli(["attach", second.id, "--json"])).code).toBe(0);
    const agents = await supervisor.client.call("list_agents", { query: { all: true } });
    expect(agents.map((one) => one.id).sort()).toEqual([first.id, second.id].sort());
  });

  test("and is not known to the daemon fails a deploy at its deadline, and what it starts late is ended when it goes on", async () => {
    const agent = await supervisor.deploy({ command: ["true"] });
    await supervisor.client.call("wait", { params: { agent: agent.id } });
    await supervisor.signal_daemon("SIGKILL");
    await supervisor.boot();
    await freeze();
    const failed = await supervisor.cli(["deploy", "--", "sleep", "1000"]);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/did not answer in \d+ ms/) });
    one_line(failed.stderr);
    expect((await supervisor.cli(["ps", "--json"])).stdout).toBe("[]\n");
    thaw();
    const { runtime_dir } = await health();
    await eventually("no session and no file of the late host", async () => {
      const sessions = (await tmux("list-sessions")).stdout;
      return (
        sessions === "" && readdirSync(runtime_dir).every((name) => /^(canary|d\.sock|t\.sock|tmux\.conf)$/.test(name))
      );
    });
  });

  test("does not hold up a stop: the daemon leaves, says so, and the next one ends the server", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await freeze();
    const ran = await supervisor.cli(["stop", "--agents", "--json"]);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      agents_running: 0,
      receipts: [{ agent_id: agent.id, success: true }],
    });
    // Its socket goes before it does, and what it says last comes between.
    await eventually("the daemon to be gone", () => supervisor.daemon_exited);
    supervisor.forget_daemon();
    await eventually("it to have said so", () => supervisor.daemon_stderr.includes("the tmux server was left running"));
    thaw();
    await supervisor.boot();
    await eventually("the receipt to be amended", async () => (await now(agent)).receipt?.session_killed);
  });
});
