import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, kill_if_there, processes_marked, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";
const READY = ["sh", "-c", "echo ready; exec sleep 1000"];

describe("a spare host", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  const lives = (pid: number) => processes_marked(supervisor.root).some((line) => line.startsWith(`${pid} `));
  const kill = (agent: string) => supervisor.client.call("kill", { params: { agent }, body: {} });

  test("is there by default, becomes the next agent's host under that agent's names, and another takes its place", async () => {
    const spare = await supervisor.spare();
    const agent = await supervisor.deploy({ command: READY });
    expect(agent.host?.pid).toBe(spare.pid);
    await supervisor.printed(agent, "ready");
    const next = await supervisor.spare();
    expect((await supervisor.sessions()).toSorted()).toEqual([agent.tmux_session as string, next.id].toSorted());
    const receipt = await kill(agent.id);
    expect(receipt).toMatchObject({
      success: true,
      session_killed: true,
      cleanup: { handles: "clear", survivors: [] },
    });
    expect(await supervisor.sessions()).toEqual([next.id]);
  });

  test("is no agent: no list, no limit, no metric and no sweep knows of it, and a stop ends it", async () => {
    rmSync(join(supervisor.root, "supervisor.config.json"), { force: true });
    await supervisor.signal_daemon("SIGTERM");
    writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ limits: { max_concurrent: 1 } }));
    await supervisor.boot();
    await supervisor.spare();
    expect(await supervisor.client.call("list_agents", { query: { all: true } })).toEqual([]);
    expect(await supervisor.client.call("health")).toMatchObject({ running: 0 });
    const { items } = await supervisor.client.call("gc", { body: {} });
    expect(items).toEqual([]);
    const agent = await supervisor.deploy({ command: READY });
    expect(agent.status).toBe("running");
    await supervisor.spare();
    await supervisor.signal_daemon("SIGTERM");
    expect(supervisor.spares()).toEqual([]);
    expect(lives(agent.host?.pid as number)).toBe(true);
    await supervisor.boot();
    await kill(agent.id);
  });

  test("that was taken outlives its supervisor with its agent; one that waits leaves with it, and the next has one of its own", async () => {
    await supervisor.spare();
    const agent = await supervisor.deploy({ command: READY });
    const spare = await supervisor.spare();
    await supervisor.signal_daemon("SIGKILL");
    await eventually("the spare to leave", () => !lives(spare.pid));
    expect(lives(agent.host?.pid as number)).toBe(true);
    await supervisor.boot();
    await eventually("the agent to be taken up", async () => {
      const adopted = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
      return adopted.status === "running" && adopted.host_state === "connected";
    });
    const next = await supervisor.spare();
    expect((await supervisor.sessions()).toSorted()).toEqual([agent.tmux_session as string, next.id].toSorted());
  });

  test("that still boots when its supervisor is killed leaves when it has booted", async () => {
    const agent = await supervisor.deploy({ command: READY });
    const booting = await eventually("the next spare's process", () =>
      processes_marked(supervisor.root).find(
        (line) => /^\d+ \S*node\S* .*agent-host\.cjs spare-/.test(line) && !line.startsWith(`${agent.host?.pid} `),
      ),
    );
    await supervisor.signal_daemon("SIGKILL");
    // Well before a host would that waits 30 s for its launch.
    await eventually("it to leave", () => !lives(Number.parseInt(booting, 10)), 20_000);
    await supervisor.boot();
    const next = await supervisor.spare();
    // tmux hears of the end of the other one's process a moment later.
    await expect
      .poll(async () => (await supervisor.sessions()).filter((name) => name.startsWith("spare-")))
      .toEqual([next.id]);
  });

  test("that became an agent's host is believed when the registry was lost", async () => {
    await supervisor.spare();
    const agent = await supervisor.deploy({ command: READY });
    await supervisor.signal_daemon("SIGKILL");
    const registry = join(supervisor.workspace, agent.task_id as string, "AGENT_REGISTRY.json");
    for (const path of [registry, `${registry}.bak`]) rmSync(path);
    await supervisor.boot();
    await eventually("the agent to be taken up", async () => {
      const found = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
      return found.status === "running" && found.host_state === "connected";
    });
    expect(await kill(agent.id)).toMatchObject({ success: true });
  });

  test("that is on record and dies with its supervisor before the launch: nothing was launched, and the agent says so", async () => {
    await supervisor.signal_daemon("SIGTERM");
    const died = await crash_in_deploy("deploy.registered");
    expect(died.status).toBe("deploying");
    const { pid } = died.host as { pid: number };
    // It may have left already: it had not become the agent's then.
    if (lives(pid)) kill_if_there(pid);
    await supervisor.boot();
    const receipt = await supervisor.client.call("wait", { params: { agent: died.id as string } });
    expect(receipt).toMatchObject({
      status: "failed",
      cause: "deploy_failed",
      cleanup: { bytes_logged: 0, survivors: [], handles: "clear" },
    });
    expect(receipt.notes.join()).toContain("never launched");
  });

  test("whose supervisor dies as it is told to launch runs its agent, in a session that the next one names after it", async () => {
    await supervisor.signal_daemon("SIGTERM");
    const died = await crash_in_deploy("deploy.launch_asked");
    expect(died.tmux_session).toMatch(/^spare-/);
    await supervisor.boot();
    const agent = await eventually("the session to have the agent's name", async () => {
      const found = await supervisor.client.call("get_agent", { params: { agent: died.id as string } });
      return found.tmux_session === `agent_${died.id}` && found.status === "running" ? found : null;
    });
    await supervisor.printed(agent, "ready");
    const next = await supervisor.spare();
    expect((await supervisor.sessions()).toSorted()).toEqual([`agent_${died.id}`, next.id].toSorted());
    expect(supervisor.registry_on_disk()).toMatchObject([{ tmux_session: `agent_${died.id}` }]);
    expect(await kill(agent.id)).toMatchObject({ success: true, session_killed: true });
    expect(await supervisor.sessions()).toEqual([next.id]);
  });

  /** Deploys with a spare ready; the daemon dies at the point. Gives the agent's entry as it is on disk then. */
  async function crash_in_deploy(point: string): Promise<Record<string, unknown>> {
    supervisor.env.SUPERVISOR_CRASH_AT = `${point}:${join(supervisor.root, "mark")}`;
    await supervisor.boot();
    delete supervisor.env.SUPERVISOR_CRASH_AT;
    await supervisor.spare();
    await supervisor.deploy({ command: READY }).catch(() => null);
    await eventually("the daemon to die", () => supervisor.daemon_exited);
    supervisor.forget_daemon();
    const [entry] = supervisor.registry_on_disk();
    return entry as Record<string, unknown>;
  }

  test("that was killed, whose session was ended by hand, or whose tmux server died costs a deploy nothing but its head start", async () => {
    process.kill((await supervisor.spare()).pid, "SIGKILL");
    const one = await supervisor.deploy({ command: READY });
    await supervisor.printed(one, "ready");
    const { tmux_socket } = await supervisor.client.call("health");
    const ended = await supervisor.spare();
    await supervisor.shell(`tmux -S ${tmux_socket} kill-session -t =${ended.id}`);
    const two = await supervisor.deploy({ command: READY });
    await supervisor.printed(two, "ready");
    await eventually("the spare without a session to leave", () => !lives(ended.pid));
    const orphan = await supervisor.spare();
    const server = await supervisor.shell(`tmux -S ${tmux_socket} display-message -p '#{pid}'`);
    process.kill(Number(server.stdout), "SIGKILL");
    const three = await supervisor.deploy({ command: READY });
    await supervisor.printed(three, "ready");
    expect(three.tmux_session).toBe(`agent_${three.id}`);
    // It hears of the death a moment after us: meanwhile it may have become the agent's host, which lives on and gets a pane on the next server.
    if (three.host?.pid === orphan.pid)
      await eventually("its pane", async () => (await supervisor.sessions()).includes(three.tmux_session as string));
    else await eventually("the spare without a tmux server to leave", () => !lives(orphan.pid));
  });

  test("goes to one of many that are deployed at once, and afterwards there is one again, not more", async () => {
    const spare = await supervisor.spare();
    const agents = await Promise.all(Array.from({ length: 6 }, () => supervisor.deploy({ command: READY })));
    expect(agents.filter(({ host }) => host?.pid === spare.pid)).toHaveLength(1);
    expect(new Set(agents.map(({ host }) => host?.pid)).size).toBe(agents.length);
    await supervisor.spare();
    expect(supervisor.spares()).toHaveLength(1);
    await Promise.all(agents.map((agent) => supervisor.printed(agent, "ready")));
    expect(await supervisor.sessions()).toHaveLength(agents.length + 1);
  });

  test("is not made while less memory is available than the floor", async () => {
    await supervisor.signal_daemon("SIGTERM");
    const limits = { min_free_memory: 2 ** 50 };
    writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ limits }));
    await supervisor.boot(["--log-level", "debug"]);
    await eventually("a word on it", () => supervisor.daemon_stderr.includes("no spare host is made"));
    expect(supervisor.spares()).toEqual([]);
  });
});
