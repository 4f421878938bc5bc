import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { eventually, fixture, processes_marked, TestSupervisor } from "../support/supervisor.ts";

/** Prints numbered lines for ever, so that a gap or a double line shows. */
const COUNTS = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"];
/** Answers what is typed, and tells of its terminal's size. */
const ANSWERS = [
  "bash",
  "-c",
  `trap 'stty size </dev/tty' WINCH; echo ready
   (while read -r line; do echo "got $line"; done) </dev/tty &
   while kill -0 $! 2>/dev/null; do wait $!; done`,
];

/** strace(1) is how another's exit code can be seen. */
const has_strace = spawnSync("strace", ["-V"]).status === 0;

describe("a tmux server that dies", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  const socket = async () => (await supervisor.client.call("health")).tmux_socket;
  const tmux = async (command: string) => supervisor.shell(`tmux -u -S ${await socket()} ${command}`);
  const server_pid = async () => {
    const ran = await tmux("display-message -p '#{pid}'");
    return Number(ran.stdout);
  };
  const now = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
  const pane_of = (agent: AgentRecord) =>
    tmux(`capture-pane -p -S - -t '=${agent.tmux_session}:'`).then((ran) => ran.stdout);
  /** Kills the server, and waits until the agents have a pane on another one. */
  const lose_server = async (agents: AgentRecord[], how: () => Promise<unknown>) => {
    const before = await server_pid();
    await how();
    await eventually("another server with all the sessions", async () => {
      const pid = await server_pid();
      const sessions = (await tmux("list-sessions -F '#{session_name}'")).stdout.split("\n");
      return pid && pid !== before && agents.every((agent) => sessions.includes(agent.tmux_session as string));
    });
    for (const agent of agents)
      await eventually(`${agent.id} to have its pane`, async () => (await now(agent)).pane === "open");
  };
  const placeholders = () =>
    processes_marked(supervisor.root).filter((one) => /^\d+ (\/bin\/sh -c .*\.life|cat $)/s.test(one));
  // Never 0, which is this process's own group.
  const kill_server = async () => process.kill(await eventually("the server's pid", server_pid), "SIGKILL");
  const whole = async (agent: AgentRecord) => {
    const lines = (await supervisor.log_text(agent)).trim().split("\n");
    expect(lines).toEqual(lines.map((_, i) => `line ${i + 1}`));
  };

  test("leaves the agents running, and each has a pane on a new server by itself, three times in a row, without a gap in its log", async () => {
    const agents = await Promise.all([COUNTS, COUNTS, COUNTS].map((command) => supervisor.deploy({ command })));
    const hosts = await Promise.all(agents.map(async (agent) => (await now(agent)).host?.pid));
    for (let round = 0; round < 3; round++) {
      for (const agent of agents) await supervisor.printed(agent, `line ${10 + round * 20}\n`);
      await lose_server(agents, kill_server);
      for (const [index, agent] of agents.entries()) {
        expect(await now(agent)).toMatchObject({ status: "running", host: { pid: hosts[index] } });
        const last = (await supervisor.log_text(agent)).trim().split("\n").at(-1) as string;
        await eventually("what is printed now to be in the pane", async () => (await pane_of(agent)).includes(last));
        // The pane begins with the end of the log, not with nothing.
        expect(await pane_of(agent)).toContain("line 9\n");
      }
    }
    const { receipts } = await supervisor.client.call("kill_many", { body: { all: true, cleanup: "keep" } });
    for (const receipt of receipts)
      expect(receipt).toMatchObject({
        success: true,
        session_killed: true,
        status: "terminated",
        notes: [],
        cleanup: { survivors: [], handles: "clear" },
      });
    for (const agent of agents) await whole(agent);
    expect((await tmux("list-sessions")).stdout).toBe("");
  });

  test("is replaced by one whose panes take keys and tell the agent of their size; attach leads there", async () => {
    const agent = await supervisor.deploy({ command: ANSWERS, mode: "interactive" });
    await supervisor.printed(agent, "ready");
    for (let round = 1; round <= 2; round++) {
      await lose_server([agent], kill_server);
      const { command } = JSON.parse((await supervisor.cli(["attach", agent.id, "--json"])).stdout);
      const target = `'${command.at(-1)}:'`;
      await tmux(`send-keys -t ${target} typed-${round} Enter`);
      await supervisor.printed(agent, `got typed-${round}`);
      await tmux(`resize-window -t ${target} -x ${100 + round} -y ${30 + round}`);
      await supervisor.printed(agent, `${30 + round} ${100 + round}`);
      await supervisor.cli(["send", agent.id, `sent-${round}`]);
      await supervisor.printed(agent, `got sent-${round}`);
    }
    expect((await supervisor.cli(["events"])).stdout).toMatch(/pane_lost[\s\S]*pane_restored/);
  });

  test("by kill-server is not taken for a killed session: the agents live on", async () => {
    const agents = await Promise.all([1, 2, 3].map(() => supervisor.deploy({ command: COUNTS })));
    for (const agent of agents) await supervisor.printed(agent, "line 5\n");
    await lose_server(agents, () => tmux("kill-server"));
    await lose_server(agents, () => tmux("kill-server"));
    for (const agent of agents) expect((await now(agent)).status).toBe("running");
  });

  test("does not change that a session killed by hand, on the new server, is an orderly end with its receipt", async () => {
    const agents = await Promise.all([1, 2].map(() => supervisor.deploy({ command: [fixture("prints-on-term")] })));
    const [killed, other] = agents as [AgentRecord, AgentRecord];
    for (const agent of agents) await supervisor.printed(agent, "ready");
    await lose_server(agents, kill_server);
    await tmux(`kill-session -t =${killed.tmux_session}`);
    const receipt = await supervisor.client.call("wait", { params: { agent: killed.id } });
    expect(receipt).toMatchObject({
      status: "terminated",
      cause: "session_killed",
      session_killed: true,
      cleanup: { bytes_logged: 6 + 20_480, survivors: [], handles: "clear" },
    });
    expect((await now(other)).status).toBe("running");
  });

  test("while no daemon runs costs the agents nothing, and the next daemon gives them their panes", async () => {
    const agents = await Promise.all([1, 2].map(() => supervisor.deploy({ command: COUNTS })));
    const [gone] = agents as [AgentRecord];
    const pid = await server_pid();
    await supervisor.signal_daemon("SIGKILL");
    process.kill(pid, "SIGKILL");
    const size = (await supervisor.log_text(gone)).length;
    await eventually("the agent to print on", async () => (await supervisor.log_text(gone)).length > size + 200);
    await supervisor.boot();
    for (const agent of agents) {
      await eventually("its pane", async () => (await now(agent)).pane === "open");
      await eventually("its pane to show it", async () => (await pane_of(agent)).includes("line "));
    }
    await supervisor.client.call("kill_many", { body: { all: true, cleanup: "keep" } });
    for (const agent of agents) await whole(agent);
  });

  test("while the agent ends, or with no server at the end, leaves no session, pipe or placeholder", async () => {
    const ending = await supervisor.deploy({ command: [fixture("ignores-signals")] });
    const killed = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(ending, "ready");
    const kill = (grace_ms: number) =>
      supervisor.client.call("kill", { params: { agent: ending.id }, body: { grace_ms } });
    const end = kill(600_000);
    await eventually("the end to begin", async () => (await now(ending)).status === "stopping");
    await kill_server();
    await kill(0);
    expect(await end).toMatchObject({
      success: true,
      session_killed: true,
      cleanup: { survivors: [], handles: "clear" },
    });
    await eventually("the other's pane", async () => (await now(killed)).pane === "open");
    // The host of a placeholder's pane is killed: the placeholder goes with it.
    process.kill((await now(killed)).host?.pid as number, "SIGKILL");
    expect(await supervisor.client.call("wait", { params: { agent: killed.id } })).toMatchObject({
      status: "lost",
      session_killed: true,
      cleanup: { survivors: [], handles: "clear" },
    });
    await eventually("no placeholder", () => placeholders().length === 0);
    const { runtime_dir } = await supervisor.client.call("health");
    expect(readdirSync(runtime_dir).sort()).toEqual(["canary", "d.sock", "t.sock", "tmux.conf"]);
  });

  test("takes no placeholder with it that a host which died with its daemon left", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await lose_server([agent], kill_server);
    const host = (await now(agent)).host?.pid as number;
    await eventually("a placeholder, a shell with its child", () => placeholders().length === 2);
    await supervisor.signal_daemon("SIGKILL");
    process.kill(host, "SIGKILL");
    await eventually("the placeholder to leave without a daemon", () => placeholders().length === 0);
    await supervisor.boot();
    expect(await supervisor.client.call("wait", { params: { agent: agent.id } })).toMatchObject({ status: "lost" });
  });

  test.skipIf(!has_strace)("leaves no core file: a host whose terminal has hung up exits with 0", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const host = (await now(agent)).host as { pid: number };
    await lose_server([agent], kill_server);
    const trace = supervisor.shell(
      `strace -e trace=exit_group -p ${host.pid} 2>&1 | grep -m1 -o 'exited with.*\\|killed by.*' || true`,
    );
    await eventually("strace to watch", () =>
      /TracerPid:\t[1-9]/.test(readFileSync(`/proc/${host.pid}/status`, "utf8")),
    );
    await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect((await trace).stdout.trim()).toMatch(/^exited with 0/);
  });
});
