import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, processes_marked, TestSupervisor } from "../support/supervisor.ts";

const READY = ["sh", "-c", "echo ready; exec sleep 1000"];

describe("a spare host", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ spare_hosts: 1 }));
    await supervisor.boot();
  });
  afterEach(() => supervisor.dispose());

  /** Found by its arguments: a spare that was taken still has them, as the host of its agent. */
  const spares = () =>
    processes_marked(supervisor.root)
      .filter((line) => /^\d+ \S*node\S* .*agent-host\.js spare-/.test(line))
      .map((line) => Number(line.split(" ")[0]));
  const spare_beside = (...known: number[]) =>
    eventually("a spare host", () => spares().find((pid) => !known.includes(pid)));
  const sessions = async () => {
    const { tmux_socket } = await supervisor.client.call("health");
    return (await supervisor.shell(`tmux -S ${tmux_socket} list-sessions -F '#{session_name}'`)).stdout.split("\n");
  };
  /** Its session is there before it is connected. */
  const settled = async () => {
    await spare_beside();
    await eventually("its socket", async () =>
      (await supervisor.shell("find . -name '*.err' -path '*supervisor-*'")).stdout === "" ? "connected" : "",
    );
  };

  test("becomes the next agent's host under that agent's names, is never shown as an agent, and another takes its place", async () => {
    await settled();
    const [spare] = spares() as [number];
    expect(await supervisor.client.call("list_agents")).toEqual([]);
    const agent = await supervisor.deploy({ command: READY });
    expect(agent.host?.pid).toBe(spare);
    await supervisor.printed(agent, "ready");
    expect(await sessions()).toContain(agent.tmux_session);
    await spare_beside(spare);
    expect((await supervisor.client.call("list_agents")).map((one) => one.id)).toEqual([agent.id]);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: {} });
    expect(receipt).toMatchObject({
      success: true,
      session_killed: true,
      cleanup: { handles: "clear", survivors: [] },
    });
    expect(await sessions()).not.toContain(agent.tmux_session);
  });

  test("that was taken outlives its supervisor with its agent; one that was not leaves with it", async () => {
    await settled();
    const agent = await supervisor.deploy({ command: READY });
    const spare = await spare_beside(agent.host?.pid as number);
    await supervisor.signal_daemon("SIGKILL");
    await eventually("the spare to leave", () => !spares().includes(spare));
    expect(spares()).toContain(agent.host?.pid);
    await supervisor.boot();
    const adopted = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
    expect(adopted).toMatchObject({ status: "running", host_state: "connected" });
  });

  test("that was killed, or whose session was ended by hand, costs a deploy nothing but its head start", async () => {
    await settled();
    const [first] = spares() as [number];
    process.kill(first, "SIGKILL");
    await eventually("the spare to be gone", () => !spares().includes(first));
    const one = await supervisor.deploy({ command: READY });
    await supervisor.printed(one, "ready");
    await spare_beside(one.host?.pid as number);
    await settled();
    const { tmux_socket } = await supervisor.client.call("health");
    const name = (await sessions()).find((session) => session.startsWith("spare-"));
    await supervisor.shell(`tmux -S ${tmux_socket} kill-session -t =${name}`);
    const two = await supervisor.deploy({ command: READY });
    await supervisor.printed(two, "ready");
  });
});
