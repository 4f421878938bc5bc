import { closeSync, existsSync, openSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, fixture, processes_marked, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

describe("an end", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("by KILL comes only after the grace for an agent that ignores TERM, HUP and INT, and only then are its files touched", async () => {
    // It looks itself, for as long as it lives.
    const log = '"$SUPERVISOR_WORKSPACE/$SUPERVISOR_TASK_ID/logs/$SUPERVISOR_AGENT_ID"_stream.jsonl';
    const script = `trap '' TERM HUP INT; echo ready; while [ -e ${log} ]; do : >lives; sleep 0.01; done; : >touched`;
    const agent = await supervisor.deploy({ command: ["sh", "-c", script] });
    await supervisor.printed(agent, "ready");
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 700 } });
    const seen = ["lives", "touched"].map((name) => existsSync(join(supervisor.root, name)));
    expect(seen, "what the agent saw: its log, and its log gone").toEqual([true, false]);
    expect(receipt.exit.signal).toBe("SIGKILL");
    expect(receipt.signals.map((one) => one.signal)).toContain("SIGTERM");
    expect(receipt.cleanup.duration_ms.stop).toBeGreaterThanOrEqual(690);
    expect(receipt).toMatchObject({
      success: true,
      session_killed: true,
      status: "terminated",
      cleanup: { handles: "clear", survivors: [], files_failed: [] },
    });
    expect(existsSync(agent.tracked_files.log_file as string)).toBe(false);
  });

  test("lets the agent's TERM handler run programs to their end, within the grace", async () => {
    const script = "trap 'seq 1 50000; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    const agent = await supervisor.deploy({ command: ["bash", "-c", script] });
    await supervisor.printed(agent, "ready");
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    expect(receipt.exit.code).toBe(3);
    expect((await supervisor.log_text(agent)).endsWith("\n49999\n50000\n")).toBe(true);
  });

  test("drains a terminal that was stopped with C-s", async () => {
    const agent = await supervisor.deploy({
      command: ["bash", "-c", "echo ready; read -r; seq 1 20000"],
      mode: "interactive",
    });
    await supervisor.printed(agent, "ready");
    const send = (text: string, enter: boolean) =>
      supervisor.client.call("send", { params: { agent: agent.id }, body: { text, enter } });
    // Stopped first: it could have printed all, and be gone, before the second line came.
    await send("\x13", false);
    await send("", true);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 300 } });
    expect(receipt).toMatchObject({ success: true, notes: [] });
    expect(receipt.cleanup.bytes_read).toBe(receipt.cleanup.bytes_logged);
  });

  test("of all agents does not stumble over a deploy that fails meanwhile", async () => {
    const deploy = () =>
      supervisor.deploy({ command: ["/bin/sleep", "x".repeat(200_000)] }).catch((error) => error.code);
    let failing = deploy();
    await eventually("a deploy to be registered that has not failed yet", async () => {
      let over = false;
      void failing.then(() => {
        over = true;
      });
      while (!over) if ((await supervisor.client.call("list_agents")).length > 0) return true;
      // It had failed before anybody could look.
      failing = deploy();
      return false;
    });
    expect((await supervisor.client.call("kill_many", { body: { all: true } })).success).toBe(true);
    expect(await failing).toBe("launch_failed");
    expect(await supervisor.client.call("list_agents", { query: { all: true } })).toEqual([]);
  });

  test("takes helpers along that went to the background, under nohup and into a session of their own", async () => {
    const agent = await supervisor.deploy({ command: [fixture("leaves-helpers")] });
    await supervisor.printed(agent, "ready");
    // When they are `sleep`, and no longer the shell, nohup or setsid that becomes it.
    await eventually(
      "three helpers",
      () => processes_marked(supervisor.root).filter((one) => /^\d+ sleep 1000 $/.test(one)).length === 3,
    );
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt.cleanup.processes_ended.filter((one) => one.command === "sleep")).toHaveLength(3);
    expect(processes_marked(supervisor.root).filter((one) => one.includes("sleep 1000"))).toEqual([]);
  });

  test("by the agent's own exit takes its helpers along too, and keeps its exit code", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", "setsid sleep 1000 & exit 7"] });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      status: "failed",
      cause: "exited",
      exit: { code: 7, signal: null },
      cleanup: { survivors: [], handles: "clear" },
    });
    expect(receipt.cleanup.files_archived).toHaveLength(3);
  });

  test("asked for twice at once gives one receipt", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const [first, second] = await Promise.all(
      [1, 2].map(() => supervisor.client.call("kill", { params: { agent: agent.id }, body: { reason: "twice" } })),
    );
    expect(second).toEqual(first);
    expect(await supervisor.client.call("kill", { params: { agent: agent.id } })).toEqual(first);
  });

  test("asked for while the agent is being deployed, or while it exits, is clean", async () => {
    const deploys = Array.from({ length: 6 }, (_, i) =>
      supervisor.deploy({ command: i % 2 ? ["true"] : [fixture("idles")] }),
    );
    await eventually(
      "an agent to be registered",
      async () => (await supervisor.client.call("list_agents", { query: { all: true } })).length > 0,
    );
    await supervisor.client.call("kill_many", { body: { all: true } });
    const agents = await Promise.all(deploys);
    await supervisor.client.call("kill_many", { body: { all: true } });
    for (const agent of agents) {
      const { receipt } = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
      expect(receipt, agent.id).toMatchObject({ success: true, cleanup: { handles: "clear", survivors: [] } });
    }
  });

  test("can be hurried by a second kill with a shorter grace", async () => {
    const agent = await supervisor.deploy({ command: [fixture("ignores-signals")] });
    await supervisor.printed(agent, "ready");
    const first = supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 600_000 } });
    await eventually(
      "the end to begin",
      async () => (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).ending?.step === "stop",
    );
    const second = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 0 } });
    expect(second.exit.signal).toBe("SIGKILL");
    expect(await first).toEqual(second);
  });

  test("of a session that somebody kills by hand is an orderly end with a receipt", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
    await supervisor.printed(agent, "ready");
    const { tmux_socket } = await supervisor.client.call("health");
    await supervisor.shell(`tmux -S ${tmux_socket} kill-session -t =${agent.tmux_session}`);
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      status: "terminated",
      cause: "session_killed",
      cleanup: { bytes_logged: 6 + 20_480, survivors: [] },
    });
  });

  test("of a host that is killed ends its agent as lost, with nothing left", async () => {
    const agent = await supervisor.deploy({ command: [fixture("leaves-helpers")] });
    await supervisor.printed(agent, "ready");
    process.kill(
      (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).host?.pid as number,
      "SIGKILL",
    );
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      success: false,
      status: "lost",
      cause: "host_lost",
      cleanup: { survivors: [], handles: "clear", bytes_logged: 6, bytes_accounted: false },
    });
    expect(receipt.notes.join()).toContain("the host was gone");
  });

  test("leaves a file that a bystander holds in trash, names the bystander without touching it, and removes it when it lets go", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "ready");
    const fd = openSync(agent.tracked_files.log_file as string, "r");
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt.cleanup.handles).toBe("held");
    const [deferred] = receipt.cleanup.files_deferred;
    expect(deferred).toMatchObject({
      path: agent.tracked_files.log_file,
      verdict: "held",
      holders: [{ pid: process.pid, access: "read", whose: "other" }],
    });
    expect(existsSync(deferred?.trash_path as string)).toBe(true);
    expect((await supervisor.cli(["verify", agent.id])).code).toBe(1);
    expect((await supervisor.client.call("gc", { body: {} })).deferred).toHaveLength(1);
    closeSync(fd);
    expect((await supervisor.client.call("gc", { body: {} })).removed).toEqual([deferred?.trash_path]);
    const amended = (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).receipt;
    expect(amended).toMatchObject({
      cleanup: { files_deferred: [], handles: "clear" },
      amended_at: expect.any(String),
    });
    expect((await supervisor.cli(["verify", agent.id])).code).toBe(0);
  });

  test("leaves a link alone that was planted in a tracked file's place, and what it leads to", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "ready");
    const outside = `${supervisor.root}/precious`;
    writeFileSync(outside, "precious");
    const prompt = agent.tracked_files.prompt_file as string;
    renameSync(prompt, `${prompt}.moved`);
    symlinkSync(outside, prompt);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt.cleanup.files_failed).toMatchObject([
      { path: prompt, error: expect.stringContaining("not a regular file") },
    ]);
    expect(readFileSync(outside, "utf8")).toBe("precious");
  });

  test("begun by the agent's report of completion archives its files", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")], grace_ms: 300 });
    await supervisor.printed(agent, "ready");
    await supervisor.client.call("progress", {
      params: { agent: agent.id },
      body: { status: "completed", message: "done", progress: 100 },
    });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ status: "completed", cause: "reported_completed" });
    expect((await supervisor.cli(["logs", agent.id])).stdout).toBe('{"type":"ready"}\n');
  });
});

describe("a daemon", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("that is killed and started again adopts its agents, and loses nothing that they print meanwhile", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"],
    });
    const short = await supervisor.deploy({ command: ["sh", "-c", "read line </dev/tty; echo bye; exit 3"] });
    await supervisor.printed(agent, "5\n");
    await supervisor.client.call("send", { params: { agent: short.id }, body: { text: "" } });
    await supervisor.signal_daemon("SIGKILL");
    const size = (await supervisor.log_text(agent)).length;
    await eventually("the agent to print on", async () => (await supervisor.log_text(agent)).length > size + 50);
    await supervisor.boot();
    const found = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
    expect(found).toMatchObject({ status: "running", process: agent.process ?? {} });
    expect(await supervisor.client.call("wait", { params: { agent: short.id } })).toMatchObject({
      exit: { code: 3 },
      cleanup: { bytes_logged: 4 },
    });
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    const lines = (await supervisor.log_text(agent)).trim().split("\n").map(Number);
    expect(lines).toEqual(lines.map((_, i) => i + 1));
    expect(receipt.cleanup.bytes_logged).toBe((await supervisor.log_text(agent)).length);
  });

  test("that is stopped with Ctrl-C says how many agents go on, and they do", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    expect(await supervisor.signal_daemon("SIGINT")).toBe(0);
    expect((await supervisor.cli(["ps"])).code).toBe(3);
    expect(processes_marked(supervisor.root).some((one) => one.includes("idles"))).toBe(true);
    await supervisor.boot();
    expect((await supervisor.cli(["ps"])).stdout).toContain(agent.id);
  });

  test("refuses a second one on the same workspace, and the first goes on", async () => {
    const second = await supervisor.cli(["start"]);
    expect(second).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: a supervisor already serves .*\n$/),
    });
    expect((await supervisor.cli(["ps"])).code).toBe(0);
  });
});
