import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { NO_MOUNT, needs, small_disk } from "../support/disks.ts";
import { eventually, fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
});
afterEach(() => supervisor.dispose());

/** Boots with these limits. */
const boot = async (limits: Record<string, unknown>, more: Record<string, unknown> = {}) => {
  writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ limits, ...more }));
  await supervisor.boot();
};
const status = async (agent: AgentRecord) =>
  (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).status;
const wait = (agent: AgentRecord) => supervisor.client.call("wait", { params: { agent: agent.id } });
const idler = () => supervisor.deploy({ command: [fixture("idles")] });
const kill = (agent: AgentRecord, tree = false) =>
  supervisor.client.call("kill", { params: { agent: agent.id }, body: { tree } });

/** The agents' own words: who came in in which order, and how many were there at once at most. */
function presence(file: string) {
  const order: string[] = [];
  let inside = 0;
  let most = 0;
  if (!existsSync(file)) return { order, most };
  for (const line of readFileSync(file, "utf8").trimEnd().split("\n")) {
    const [what, id] = line.split(" ");
    if (what === "in") order.push(id as string);
    inside += what === "in" ? 1 : -1;
    most = Math.max(most, inside);
  }
  return { order, most };
}

test("of 30 agents never more than max_concurrent run at once; the others wait their turn, each runs once, through a SIGKILL of the supervisor in the middle", async () => {
  await boot({ max_concurrent: 3 });
  const file = join(supervisor.root, "presence");
  const agents = await Promise.all(
    Array.from({ length: 30 }, () =>
      supervisor.deploy({
        command: ["/bin/sh", "-c", `test "$SECRET" = s3cret && exec "$0" "$1"`, fixture("counts-in-and-out"), file],
        env: { PATH: supervisor.env.PATH as string, TEST_MARK: supervisor.root, SECRET: "s3cret" },
      }),
    ),
  );
  expect(agents.filter((agent) => agent.status === "queued").length).toBeGreaterThan(0);
  await eventually("some to have run", () => presence(file).order.length >= 6);
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.boot();
  for (const agent of agents) expect(await wait(agent)).toMatchObject({ status: "completed", success: true });
  const { order, most } = presence(file);
  expect(most).toBeLessThanOrEqual(3);
  expect(order.toSorted()).toEqual(agents.map((agent) => agent.id).toSorted());
  expect(supervisor.daemon_stderr).not.toContain("s3cret");
}, 120_000);

test("who waits is started by priority, equals in their order, also by the next supervisor; a kill cancels with a receipt that says that nothing ran", async () => {
  await boot({ max_concurrent: 1 });
  const file = join(supervisor.root, "presence");
  const first = await idler();
  const queue = async (priority: number) =>
    supervisor.deploy({ command: [fixture("counts-in-and-out"), file], priority });
  const agents = [await queue(0), await queue(5), await queue(0), await queue(9), await queue(5)];
  const views = await supervisor.client.call("list_agents");
  expect(agents.map((agent) => views.find((one) => one.id === agent.id)?.queue_position)).toEqual([4, 2, 5, 1, 3]);
  expect(views.find((one) => one.id === agents[0]?.id)?.queue_reason).toBe(
    "max_concurrent of the supervisor is 1, and so many run",
  );
  const ps = await supervisor.cli(["ps"]);
  expect(ps.stdout).toContain("queued, place 4");

  const cancelled = agents[1] as AgentRecord;
  const receipt = await kill(cancelled);
  expect(receipt).toMatchObject({
    success: true,
    status: "terminated",
    signals: [],
    session_killed: false,
    cleanup: { processes_ended: [], files_failed: [], files_deferred: [], bytes_logged: 0 },
    notes: ["it waited in the queue; nothing of it ever ran"],
  });
  expect(receipt.cleanup.files_deleted.toSorted()).toEqual(
    [cancelled.tracked_files.prompt_file, cancelled.tracked_files.deploy_log].toSorted(),
  );
  await expect(
    supervisor.client.call("send", { params: { agent: agents[0]?.id as string }, body: { text: "x" } }),
  ).rejects.toMatchObject({ code: "agent_not_running" });

  // Both ways for a supervisor to go.
  await supervisor.signal_daemon("SIGTERM");
  await supervisor.boot();
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.boot();
  const waiting = [0, 2, 3, 4].map((index) => agents[index] as AgentRecord);
  const ends = Promise.all(waiting.map(wait));
  await kill(first);
  await ends;
  expect(presence(file).order).toEqual([3, 4, 0, 2].map((index) => agents[index]?.id));
}, 60_000);

test("who waits in the queue is said to: by its status, by its log, and, when it is cancelled there, by its receipt", async () => {
  await boot({ max_concurrent: 1 });
  await idler();
  const { id } = await idler();
  const shown = await supervisor.cli(["status", id]);
  expect(shown.stdout).toMatch(/\n {2}waits since .*\n {2}contained {2}from its start on\n/);
  expect(await supervisor.cli(["logs", id])).toMatchObject({
    code: 4,
    stderr: `supervisor: ${id} has printed nothing yet: it waits in the queue ('supervisor status ${id} --workspace ${supervisor.workspace}' says for what)\n`,
  });
  expect((await supervisor.cli(["kill", id])).stdout).toMatch(
    /terminated \(it never ran\): .*(\n.*)*\n {2}session {4}none\n/,
  );
}, 60_000);

test("a deploy that does not want to wait is refused, and 'deploy --wait' waits from the queue to the end", async () => {
  await boot({ max_concurrent: 1 });
  const first = await idler();
  const refused = await supervisor.cli(["deploy", "--no-queue", "--", "true"]);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain("max_concurrent of the supervisor is 1");
  const waited = supervisor.cli(["deploy", "--wait", "--", "sh", "-c", "exit 7"]);
  await eventually("it to be queued", async () => (await supervisor.client.call("health")).queued === 1);
  await kill(first);
  const { code, stderr } = await waited;
  expect(code).toBe(7);
  expect(stderr).toContain("is queued, at place 1: max_concurrent of the supervisor is 1");
});

test("an environment that died with the tmux server and the supervisor ends its queued agent as failed, and says so", async () => {
  await boot({ max_concurrent: 1 });
  const first = await idler();
  const queued = await supervisor.deploy({ command: ["true"] });
  const { tmux_socket } = await supervisor.client.call("health");
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.shell(`tmux -S ${tmux_socket} kill-server`);
  await supervisor.boot();
  const receipt = await wait(queued);
  expect(receipt).toMatchObject({ status: "failed", cause: "deploy_failed", success: true });
  expect(receipt.reason).toContain("the tmux server, which alone had it, ended too");
  await kill(first);
});

test("limits of a task hold for it alone; a child counts in its parents' task, and is refused when it would be too deep", async () => {
  await boot({});
  const made = await supervisor.cli([
    "task",
    "create",
    "small",
    "--max-concurrent",
    "2",
    "--max-agents",
    "3",
    "--max-depth",
    "2",
  ]);
  const task_id = made.stdout.trim();
  expect(await supervisor.client.call("get_task", { params: { task: task_id } })).toMatchObject({
    limits: { max_agents: 3, max_concurrent: 2, max_depth: 2 },
  });
  const command = [fixture("idles")];
  const parent = await supervisor.deploy({ command, task_id });
  const child = await supervisor.deploy({ command, parent: parent.id });
  expect(child).toMatchObject({ task_id, depth: 2, status: "running" });
  await expect(supervisor.deploy({ command, parent: child.id })).rejects.toMatchObject({
    code: "limit_reached",
    message: `max_depth of ${task_id} is 2: a child of ${child.id} would have depth 3; let ${child.id} do the work itself, or raise the limit (task create --max-depth, or limits.per_task.max_depth in the config)`,
  });
  const other = await supervisor.client.call("create_task", { body: { description: "other" } });
  await expect(supervisor.deploy({ command, parent: parent.id, task_id: other.task_id })).rejects.toMatchObject({
    code: "invalid_request",
  });
  const third = await supervisor.deploy({ command, task_id });
  expect(third.status).toBe("queued");
  await expect(supervisor.deploy({ command, task_id })).rejects.toMatchObject({
    code: "limit_reached",
    message: expect.stringContaining(`max_agents of ${task_id} is 3`),
  });
  const elsewhere = await supervisor.deploy({ command, task_id: other.task_id });
  expect(elsewhere.status).toBe("running");
  await kill(child);
  await eventually("the third to run", async () => (await status(third)) === "running");
});

test("a kill of a parent leaves its children and says so; with --tree it takes children and grandchildren along", async () => {
  await boot({});
  const command = [fixture("idles")];
  const root = await supervisor.deploy({ command });
  const child = await supervisor.deploy({ command, parent: root.id });
  const grandchildren = [
    await supervisor.deploy({ command, parent: child.id }),
    await supervisor.deploy({ command, parent: child.id }),
  ];
  const stranger = await idler();
  const left = await supervisor.cli(["kill", root.id]);
  expect(left.code).toBe(0);
  expect(left.stderr).toContain(`3 agents that ${root.id} deployed go on`);
  expect(await status(child)).toBe("running");
  await expect(supervisor.deploy({ command, parent: root.id })).rejects.toMatchObject({ code: "agent_not_running" });
  const receipt = await kill(root, true);
  expect(receipt.descendants?.map((one) => [one.agent_id, one.status, one.success]).toSorted()).toEqual(
    [child, ...grandchildren].map((one) => [one.id, "terminated", true]).toSorted(),
  );
  expect(await status(stranger)).toBe("running");
});

test("an agent that has left the registry keeps its place in the tree: --tree finds its living children, and new ones count in its task; one that was cancelled in the queue leaves like any other", async () => {
  await boot({ max_concurrent: 2 }, { retention: { ended_in_registry: 0 } });
  const leaves = (agent: AgentRecord) =>
    eventually(`${agent.id} to leave the registry`, () =>
      supervisor.registry_on_disk().every(({ id }) => id !== agent.id),
    );
  const root = await idler();
  const child = await supervisor.deploy({ command: ["true"], parent: root.id });
  await wait(child);
  await leaves(child);
  const grandchild = await supervisor.deploy({ command: [fixture("idles")], parent: child.id });
  expect(grandchild).toMatchObject({ task_id: root.task_id, depth: 3, status: "running" });
  const cancelled = await supervisor.deploy({ command: ["true"], parent: grandchild.id });
  expect(cancelled.status).toBe("queued");
  await kill(cancelled);
  await leaves(cancelled);
  expect(await kill(root)).toMatchObject({ children_left: [grandchild.id] });
  await leaves(root);
  expect((await kill(root, true)).descendants?.map((one) => one.agent_id)).toEqual([grandchild.id]);
});

test("an agent that deploys itself again and again stays within the limits, and one command ends all of it", async () => {
  await boot({ max_agents: 12, max_concurrent: 5, max_depth: 3 });
  const root = await supervisor.deploy({
    command: [fixture("multiplies"), process.execPath, SUPERVISOR],
    env: { PATH: supervisor.env.PATH as string, TEST_MARK: supervisor.root, HOME: supervisor.root },
  });
  let most = 0;
  await eventually("the root to have no more children to deploy", async () => {
    const agents = await supervisor.client.call("list_agents");
    most = Math.max(most, agents.filter((agent) => agent.status !== "queued").length);
    expect(agents.length).toBeLessThanOrEqual(12);
    expect(Math.max(...agents.map((agent) => agent.depth))).toBeLessThanOrEqual(3);
    return most === 5 && (await supervisor.log_text(root)).includes("ready") && agents.length >= 6;
  });
  expect(most).toBe(5);
  const killed = await supervisor.cli(["kill", "--tree", root.id, "--grace", "0"]);
  expect(killed.code).toBe(0);
  expect(await supervisor.client.call("list_agents")).toEqual([]);
}, 90_000);

test.skipIf(NO_MOUNT)(
  needs(
    NO_MOUNT,
    "below the floor of free disk or memory no agent is begun, those that run go on, and what is queued starts when there is room",
  ),
  async () => {
    await small_disk(supervisor, supervisor.workspace, "16m");
    const limits = { max_concurrent: 1, min_free_disk: 8 * 1024 * 1024 };
    await boot(limits);
    const first = await idler();
    const queued = await supervisor.deploy({ command: ["true"] });
    const filler = join(supervisor.workspace, "filler");
    writeFileSync(filler, Buffer.alloc(10 * 1024 * 1024));
    await expect(idler()).rejects.toMatchObject({
      code: "too_little_free",
      message: expect.stringMatching(
        /the workspace's file system \(tmpfs on .*\/ws\) has [0-7] MB free, and the floor is 8 MB \(limits\.min_free_disk\)/,
      ),
    });
    expect(await status(first)).toBe("running");
    await kill(first);
    await eventually("the queued one to wait for disk", async () => {
      const agent = await supervisor.client.call("get_agent", { params: { agent: queued.id } });
      return agent.queue_reason.includes("min_free_disk");
    });
    rmSync(filler);
    expect(await wait(queued)).toMatchObject({ status: "completed" });
    await supervisor.signal_daemon("SIGTERM");
    await boot({ min_free_disk: 0, min_free_memory: 2 ** 50 });
    await expect(idler()).rejects.toMatchObject({ code: "too_little_free" });
  },
);
