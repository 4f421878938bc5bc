import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Registry } from "../../../src/daemon/registry/registry.ts";

const TASK = "TASK-20251029-225319-45548b6a";
let workspace: string;
const path = () => join(workspace, TASK, "AGENT_REGISTRY.json");
const seed_registry = {
  task_id: TASK,
  task_description: "old",
  spiral_checks: { enabled: true },
  agents: [
    {
      id: "builder-232257-348f75",
      type: "builder",
      tmux_session: "agent_builder-232257-348f75",
      parent: "orchestrator",
      depth: 1,
      status: "running",
      progress: 10,
      prompt: "x",
      claude_pid: 7,
    },
    "not an agent",
  ],
};

beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), "sv-reg-"));
  await mkdir(join(workspace, TASK));
});
afterEach(() => rm(workspace, { recursive: true }));

async function load(): Promise<Registry> {
  const registry = new Registry(workspace);
  await registry.load();
  return registry;
}

test("a registry of the first generation loads, and unknown fields and entries survive a rewrite", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const registry = await load();
  const agent = registry.find("builder");
  expect(agent).toMatchObject({ tracked_files: {}, cookie: null, status: "running" });
  await registry.update(agent, { progress: 50 });
  const rewritten = JSON.parse(await readFile(path(), "utf8"));
  expect(rewritten).toMatchObject({
    spiral_checks: { enabled: true },
    agents: [{ claude_pid: 7, progress: 50 }, "not an agent"],
  });
});

test("a broken registry is set aside with a clear message, and the last good copy is used", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const first = await load();
  await first.update(first.find("builder"), { progress: 50 });
  await writeFile(path(), '{"task_id":');
  const registry = await load();
  expect(registry.find("builder")).toMatchObject({ progress: 10 });
  expect(registry.warnings.join()).toMatch(/is not JSON.*set aside as .*last good copy/);
  expect((await readdir(join(workspace, TASK))).filter((name) => name.includes(".broken-"))).toHaveLength(1);
});

test("a broken registry without a good copy, and one of a newer version, are left alone", async () => {
  await writeFile(path(), "nonsense");
  expect((await load()).warnings.join()).toMatch(/left alone/);
  expect(await readFile(path(), "utf8")).toBe("nonsense");
  await writeFile(path(), JSON.stringify({ ...seed_registry, registry_version: 99 }));
  expect((await load()).warnings.join()).toMatch(/newer supervisor/);
});

test("a burst of changes is written in a few writes, each durable when its call resolves", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const registry = await load();
  const agent = registry.find("builder");
  await Promise.all(Array.from({ length: 200 }, (_, i) => registry.update(agent, { progress: i / 2 })));
  expect(JSON.parse(await readFile(path(), "utf8")).agents[0].progress).toBe(99.5);
});

test("a prefix finds one agent, and says so when it fits none or several", async () => {
  await writeFile(path(), JSON.stringify({ ...seed_registry, agents: [{ id: "a-1" }, { id: "a-2" }] }));
  const registry = await load();
  expect(registry.find("a-1").id).toBe("a-1");
  expect(() => registry.find("a")).toThrow(/fits 2 agents/);
  expect(() => registry.find("b")).toThrow(/no agent b/);
});

test("a thousand notes are one write, and all is on disk when the registry has settled", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const registry = await load();
  const agent = registry.find("builder-232257-348f75");
  const flush = vi.spyOn(registry.task_of(agent).store, "flush");
  for (let n = 1; n <= 1000; n++) registry.note(agent, { progress: n / 10, message: `step ${n}` });
  await registry.settle();
  expect(flush).toHaveBeenCalledTimes(1);
  expect(JSON.parse(await readFile(path(), "utf8")).agents[0]).toMatchObject({ progress: 100, message: "step 1000" });
});
