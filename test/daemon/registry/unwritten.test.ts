/** A change whose caller was told that it failed: neither the memory nor the disk keeps it, whatever the disk did meanwhile. */
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { AgentRecord } from "../../../src/contract/agent.ts";
import { PATIENCE_MS } from "../../../src/daemon/patience.ts";
import { Registry } from "../../../src/daemon/registry/registry.ts";
import { failing_sync_of, standing_sync_of } from "../../support/sync-of.ts";

const TASK = "TASK-20251029-225319-45548b6a";
let workspace: string;
let registry: Registry;
let agent: AgentRecord;
const path = () => join(workspace, TASK, "AGENT_REGISTRY.json");
/** What a daemon would read that starts now. */
const on_disk = async () => JSON.parse(await readFile(path(), "utf8")).agents[0];

beforeEach(async () => {
  workspace = await realpath(await mkdtemp(join(tmpdir(), "sv-unwritten-")));
  await mkdir(join(workspace, TASK));
  const agents = [{ id: "builder-232257-348f75", status: "running", progress: 10 }];
  await writeFile(path(), JSON.stringify({ task_id: TASK, agents }));
  registry = new Registry(workspace);
  await registry.load();
  agent = registry.find("builder");
  await registry.update(agent, { progress: 20, message: "before" });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await rm(workspace, { recursive: true });
});

/** The next write that comes to its end. */
const written = () =>
  new Promise<boolean>((resolve) => {
    registry.task_of(agent).store.on_write = (_ms, ok) => resolve(ok);
  });

test.each([
  ["before it took the file's place", () => `${path()}.new`],
  ["when it had taken the file's place", () => join(workspace, TASK)],
])(
  "a write that stood still %s, and goes on after its caller was told, leaves what the memory has",
  async (_when, place) => {
    const disk = await standing_sync_of(place());
    const change = registry.update(agent, { progress: 30 }).catch((error) => error);
    await disk.reached;
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    expect(await change).toMatchObject({ code: "timeout", message: expect.stringContaining("nothing is recorded") });
    expect(agent).toMatchObject({ progress: 20 });
    const ended = written();
    disk.go_on();
    expect(await ended).toBe(true);
    expect(await on_disk()).toMatchObject({ progress: 20, message: "before" });
  },
);

test("who asked while the disk stood still, and was not told yet, is on the disk when it is; who was told is not", async () => {
  const disk = await standing_sync_of(`${path()}.new`);
  const told = registry.update(agent, { progress: 30 }).catch((error) => error);
  await disk.reached;
  await vi.advanceTimersByTimeAsync(PATIENCE_MS - 100);
  const waits = registry.update(agent, { message: "after" });
  await vi.advanceTimersByTimeAsync(100);
  expect(await told).toMatchObject({ code: "timeout" });
  disk.go_on();
  await waits;
  expect(await on_disk()).toMatchObject({ progress: 20, message: "after" });
});

test("of two changes of one thing that both failed, neither stays", async () => {
  const disk = await standing_sync_of(`${path()}.new`);
  const first = registry.update(agent, { progress: 30 }).catch((error) => error);
  await disk.reached;
  const second = registry.update(agent, { progress: 40 }).catch((error) => error);
  await vi.advanceTimersByTimeAsync(PATIENCE_MS);
  expect([await first, await second]).toMatchObject([{ code: "timeout" }, { code: "timeout" }]);
  expect(agent).toMatchObject({ progress: 20 });
  const ended = written();
  disk.go_on();
  await ended;
  expect(await on_disk()).toMatchObject({ progress: 20 });
  // The second one's write follows.
  await registry.task_of(agent).store.flush();
});

test("a write that failed does not leave its change to the write that follows it", async () => {
  const disk = await standing_sync_of(`${path()}.new`);
  const refused = registry.update(agent, { progress: 30 }).catch((error) => error);
  await disk.reached;
  // Its write begins in the moment in which the first one fails.
  const kept = registry.update(agent, { message: "after" });
  disk.fail();
  expect(await refused).toMatchObject({ code: "registry_unwritable" });
  await kept;
  expect(agent).toMatchObject({ progress: 20, message: "after" });
  expect(await on_disk()).toMatchObject({ progress: 20, message: "after" });
});

test("an agent whose deploy was undone while the disk stood still does not come to the disk", async () => {
  const task = registry.task_of(agent);
  const disk = await standing_sync_of(`${path()}.new`);
  const other = { ...agent, id: "other-232257-348f76" };
  const added = registry.add(task, other).catch((error) => error);
  await disk.reached;
  await vi.advanceTimersByTimeAsync(PATIENCE_MS);
  expect(await added).toMatchObject({ code: "timeout" });
  const removed = registry.remove(task, other);
  const ended = written();
  disk.go_on();
  expect(await ended).toBe(true);
  expect(JSON.parse(await readFile(path(), "utf8")).agents).toHaveLength(1);
  await removed;
});

test("what is in the file's place though its write failed is written over by itself, as soon as that can be", async () => {
  const failing = await failing_sync_of(join(workspace, TASK));
  await expect(registry.update(agent, { progress: 30 })).rejects.toMatchObject({ code: "registry_unwritable" });
  const again = written();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await again).toBe(false);
  failing.mockRestore();
  const last = written();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await last).toBe(true);
  expect(await on_disk()).toMatchObject({ progress: 20 });
});

test("a daemon that leaves writes it over too; what stands still when it has left does not come to the disk", async () => {
  const failing = await failing_sync_of(join(workspace, TASK));
  await expect(registry.update(agent, { progress: 30 })).rejects.toMatchObject({ code: "registry_unwritable" });
  failing.mockRestore();
  await registry.settle();
  expect(await on_disk()).toMatchObject({ progress: 20 });
  const disk = await standing_sync_of(`${path()}.new`);
  const late = registry.update(agent, { progress: 40 }).catch((error) => error);
  await disk.reached;
  registry.freeze();
  disk.go_on();
  expect(await late).toMatchObject({ code: "daemon_stopping" });
  expect(await on_disk()).toMatchObject({ progress: 20 });
  expect(vi.getTimerCount()).toBe(0);
});
