/** Agents wait in the queue, and the tmux server that holds their environments is frozen, or dies. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { read_process } from "../../src/drivers/procfs.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
let frozen = 0;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
  writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ limits: { max_concurrent: 1 } }));
  await supervisor.boot();
});
afterEach(async () => {
  thaw();
  await supervisor.dispose();
});

const tmux = async (command: string) => {
  const { tmux_socket } = await supervisor.client.call("health");
  return (await supervisor.shell(`tmux -S ${tmux_socket} ${command}`)).stdout;
};
const freeze = async () => {
  frozen = Number(await tmux("display-message -p '#{pid}'"));
  process.kill(frozen, "SIGSTOP");
  await eventually("the server to be stopped", () => read_process(frozen)?.state === "T");
};
const thaw = () => {
  if (frozen) process.kill(frozen, "SIGCONT");
  frozen = 0;
};
const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
const kill = (agent: AgentRecord) => supervisor.client.call("kill", { params: { agent: agent.id } });
const wait = (agent: AgentRecord) => supervisor.client.call("wait", { params: { agent: agent.id } });
const idler = () => supervisor.deploy({ command: [fixture("idles")] });
/** It completes only with the environment that it was deployed with. */
const with_secret = () =>
  supervisor.deploy({
    command: ["sh", "-c", 'test "$SECRET" = s3cret'],
    env: { PATH: supervisor.env.PATH as string, TEST_MARK: supervisor.root, SECRET: "s3cret" },
  });
const waits_for_tmux = (agent: AgentRecord) =>
  eventually("it to wait for tmux", async () => {
    const { status, queue_reason } = await get(agent);
    return status === "queued" && /tmux server .*is stopped|did not answer/.test(queue_reason);
  });

test("while tmux is frozen what is queued stays so and says why, also for the next supervisor; more is refused in one line; when it goes on each runs once, with its environment", async () => {
  const first = await idler();
  const queued = await with_secret();
  await freeze();
  const refused = await supervisor.cli(["deploy", "--", "true"]);
  expect(refused).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^supervisor: .*the tmux server \(pid \d+\) is stopped.*\n$/),
  });
  expect(await supervisor.client.call("list_agents", { query: { all: true } })).toHaveLength(2);
  expect(await kill(first)).toMatchObject({ success: true, session_killed: false });
  // There is room now, and no session to be had.
  await waits_for_tmux(queued);
  expect((await supervisor.cli(["ps"])).stdout).toContain("queued, place 1");
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.boot();
  expect((await get(queued)).status).toBe("queued");
  thaw();
  expect(await wait(queued)).toMatchObject({ status: "completed", exit: { code: 0 }, success: true });
});

test("an environment is held again by the next tmux server when the one that held it dies, and so outlives the supervisor after that", async () => {
  const first = await idler();
  const queued = await with_secret();
  await tmux("kill-server");
  await eventually("the environment to be held again", async () => (await tmux("show-options -s")).includes(queued.id));
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.boot();
  expect((await get(queued)).status).toBe("queued");
  await kill(first);
  expect(await wait(queued)).toMatchObject({ status: "completed", exit: { code: 0 } });
});

test("where nobody runs, what waits for a floor is held again as well when the server dies, and by a server that others started", async () => {
  const first = await idler();
  const queued = await with_secret();
  const config = join(supervisor.root, "supervisor.config.json");
  // Nobody may begin from here on.
  await supervisor.signal_daemon("SIGTERM");
  writeFileSync(config, JSON.stringify({ limits: { max_concurrent: 1, min_free_memory: "900T" } }));
  await supervisor.boot();
  await kill(first);
  await eventually("it to wait for memory", async () => (await get(queued)).queue_reason.includes("memory"));
  const held = async () => (await tmux("show-options -s")).includes(queued.id);
  await tmux("kill-server");
  await eventually("the environment to be held by the next server", held);
  await tmux("kill-server");
  const { tmux_socket, runtime_dir } = await supervisor.client.call("health");
  // A server of the same socket that has nothing, as that of a spare host would be.
  await supervisor.shell(`tmux -S ${tmux_socket} -f ${runtime_dir}/tmux.conf new-session -d -s somebody cat`);
  await eventually("the environment to be held by that one", held);
  await tmux("kill-session -t somebody");
  await supervisor.signal_daemon("SIGKILL");
  writeFileSync(config, JSON.stringify({ limits: { max_concurrent: 1 } }));
  await supervisor.boot();
  expect(await wait(queued)).toMatchObject({ status: "completed", exit: { code: 0 }, success: true });
});
