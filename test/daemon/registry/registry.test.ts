import { link, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AgentRecord } from "../../../src/contract/agent.ts";
import { Registry } from "../../../src/daemon/registry/registry.ts";
import type { Task } from "../../../src/daemon/registry/task.ts";
import { before_sync, failing_sync_of } from "../../support/sync-of.ts";

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

const named = async (part: string) => (await readdir(join(workspace, TASK))).filter((name) => name.includes(part));

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

const BROKEN: [what: string, text: string][] = [
  ["empty", ""],
  ["blank", "\n \n"],
  ["cut short", JSON.stringify(seed_registry).slice(0, -20)],
  ["no JSON", "nonsense"],
  ["binary", "\u0000\u0001\ufffd"],
  ["null", "null"],
  ["a list", "[]"],
  ["without a task", '{"agents":[]}'],
  ["with agents of a wrong type", `{"task_id":"${TASK}","agents":{}}`],
];

describe.each(BROKEN)("a registry that is %s", (_what, text) => {
  test("is set aside, and the last good copy is used", async () => {
    await writeFile(path(), text);
    await writeFile(`${path()}.bak`, JSON.stringify(seed_registry));
    const registry = await load();
    expect(registry.find("builder")).toMatchObject({ progress: 10 });
    expect(registry.warnings.join()).toMatch(/set aside as .*last good copy/);
    const [aside] = await named(".broken-");
    expect(await readFile(join(workspace, TASK, aside as string), "utf8")).toBe(text);
    expect(JSON.parse(await readFile(path(), "utf8")).agents).toHaveLength(2);
  });

  test("and whose last good copy is broken as well, is rebuilt; both are set aside", async () => {
    await writeFile(path(), text);
    await writeFile(`${path()}.bak`, "also broken");
    const registry = await load();
    expect(registry.task(TASK).agents.size).toBe(0);
    expect(registry.warnings.join()).toMatch(/no good copy; the registry was rebuilt/);
    expect(await named(".broken-")).toHaveLength(2);
    expect((await load()).warnings).toEqual([]);
  });
});

test("a missing registry is loaded from the last good copy, with a warning, and is never an empty task", async () => {
  await writeFile(`${path()}.bak`, JSON.stringify(seed_registry));
  const registry = await load();
  expect(registry.find("builder")).toMatchObject({ progress: 10 });
  expect(registry.warnings.join()).toMatch(/is missing.*last good copy is used/);
  expect((await load()).warnings).toEqual([expect.stringContaining("not an agent")]);
});

test("a registry of a newer version, a link, and one that is no file are left alone, and nothing of theirs is written", async () => {
  const newer = JSON.stringify({ registry_version: 99, agents: "of another shape" });
  await writeFile(path(), newer);
  await writeFile(`${path()}.bak`, "whatever");
  const registry = await load();
  expect(registry.warnings.join()).toMatch(/newer supervisor \(version 99\); it is left alone/);
  expect(registry.tasks.size).toBe(0);
  await expect(registry.restore_task(TASK)).rejects.toThrow(/newer supervisor/);
  expect(await readFile(path(), "utf8")).toBe(newer);
  expect(await readFile(`${path()}.bak`, "utf8")).toBe("whatever");

  await rename(path(), join(workspace, "elsewhere"));
  await symlink(join(workspace, "elsewhere"), path());
  expect((await load()).warnings.join()).toMatch(/it is a link.*it was left alone/);
  await rm(path());
  await mkdir(path());
  expect((await load()).warnings.join()).toMatch(/is not the file.*it was left alone/);
});

test("a crash between the two steps of a write is recovered: the copy is whole, and what was half written is swept", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  // Killed after the copy got its second name; and, another time, in the middle of the new version.
  await link(path(), `${path()}.bak`);
  await link(path(), `${path()}.bak.new`);
  await writeFile(`${path()}.123456789`, '{"task_id":');
  const registry = await load();
  expect(await readdir(join(workspace, TASK))).not.toContain("AGENT_REGISTRY.json.123456789");
  await registry.update(registry.find("builder"), { progress: 11 });
  await registry.update(registry.find("builder"), { progress: 12 });
  const progress = async (name: string) => JSON.parse(await readFile(name, "utf8")).agents[0].progress;
  expect([await progress(path()), await progress(`${path()}.bak`)]).toEqual([12, 11]);
  expect(await named(".new")).toEqual([]);
});

describe("a registry that somebody changes while the supervisor runs", () => {
  let registry: Registry;
  beforeEach(async () => {
    await writeFile(path(), JSON.stringify(seed_registry));
    registry = await load();
    await registry.update(registry.find("builder"), { progress: 20 });
    registry.warnings.length = 0;
  });

  test.each([
    ["in place", (text: string) => writeFile(path(), text)],
    [
      "as editors do, by a new file in its place",
      async (text: string) => {
        await writeFile(`${path()}~`, text);
        await rename(`${path()}~`, path());
      },
    ],
  ])("%s is kept aside with a warning, and the supervisor goes on with what it knows", async (_how, edit) => {
    const edited = JSON.stringify({ ...seed_registry, task_description: "edited" });
    await edit(edited);
    await registry.update(registry.find("builder"), { progress: 30 });
    expect(registry.warnings.join()).toMatch(/changed by somebody else.*kept as .*\.edited-/);
    const [aside] = await named(".edited-");
    expect(await readFile(join(workspace, TASK, aside as string), "utf8")).toBe(edited);
    expect(JSON.parse(await readFile(path(), "utf8"))).toMatchObject({
      task_description: "old",
      agents: [{ progress: 30 }, "not an agent"],
    });
    expect(JSON.parse(await readFile(`${path()}.bak`, "utf8")).task_description).toBe("old");
    await registry.update(registry.find("builder"), { progress: 40 });
    expect(registry.warnings).toHaveLength(1);
  });

  test("by removing it is written again, with a warning", async () => {
    await rm(path());
    await registry.update(registry.find("builder"), { progress: 30 });
    expect(registry.warnings.join()).toMatch(/was removed/);
    expect(JSON.parse(await readFile(path(), "utf8")).agents[0].progress).toBe(30);
  });

  test("by touching it alone is no change, as it was loaded and as it was written", async () => {
    for (const message of ["ä", "\u{1f600}", "z"]) {
      await utimes(path(), new Date(), new Date(0));
      await registry.update(registry.find("builder"), { message });
    }
    await writeFile(path(), await readFile(path()));
    await registry.update(registry.find("builder"), { progress: 30 });
    expect(registry.warnings).toEqual([]);
    expect(await named(".edited-")).toEqual([]);
  });

  test("is kept aside once, however often the next version cannot be written", async () => {
    const edit = (task_description: string) =>
      writeFile(path(), JSON.stringify({ ...seed_registry, task_description }));
    const agent = registry.find("builder");
    await edit("edited");
    const failing = await failing_sync_of(`${path()}.new`);
    try {
      for (const progress of [30, 40, 50])
        await expect(registry.update(agent, { progress })).rejects.toMatchObject({ code: "registry_unwritable" });
      expect(await named(".edited-")).toHaveLength(1);
      expect(registry.warnings).toHaveLength(1);
      await edit("edited again");
      await expect(registry.update(agent, { progress: 60 })).rejects.toMatchObject({ code: "registry_unwritable" });
    } finally {
      failing.mockRestore();
    }
    await registry.update(agent, { progress: 70 });
    expect(registry.warnings).toHaveLength(2);
    const kept = await Promise.all(
      (await named(".edited-")).map((name) => readFile(join(workspace, TASK, name), "utf8")),
    );
    expect(kept.map((text) => JSON.parse(text).task_description).at(-1)).toBe("edited again");
    expect(JSON.parse(await readFile(path(), "utf8")).agents[0].progress).toBe(70);
  });

  test("is nobody else's change when it was ours, and its directory could not be synced", async () => {
    const failing = await failing_sync_of(join(workspace, TASK));
    const agent = registry.find("builder");
    try {
      for (const progress of [30, 40])
        await expect(registry.update(agent, { progress })).rejects.toMatchObject({ code: "registry_unwritable" });
    } finally {
      failing.mockRestore();
    }
    expect(agent.progress).toBe(20);
    await registry.update(agent, { message: "on" });
    expect(registry.warnings).toEqual([]);
    expect(await named(".edited-")).toEqual([]);
    expect(JSON.parse(await readFile(path(), "utf8")).agents[0]).toMatchObject({ progress: 20, message: "on" });
  });
});

describe("a registry that is lost altogether is rebuilt from the task's files:", () => {
  const id = "builder-232257-348f75";
  const dir = () => join(workspace, TASK);
  beforeEach(async () => {
    for (const folder of ["logs", "exits", "trash"]) await mkdir(join(dir(), folder));
  });
  const deploy_log = (more: object) =>
    writeFile(join(dir(), "logs", `deploy_${id}.json`), JSON.stringify({ agent_id: id, command: ["x"], ...more }));

  test("a deploy log with a cookie is an agent of ours, and its paths count only inside the task", async () => {
    await deploy_log({ cookie: "c", mode: "interactive", tracked_files: { extra: "/etc/passwd" }, cleanup: "delete" });
    const agent = (await load()).find(id);
    expect(agent).toMatchObject({ status: "running", cookie: "c", mode: "interactive", type: "builder" });
    // It may have been told to keep its files: what can be kept is kept.
    expect(agent.cleanup).toBe("archive");
    expect(Object.values(agent.tracked_files).every((file) => file.startsWith(dir()))).toBe(true);
    expect(agent.notes.join()).toContain("rebuilt");
  });

  test("files that merely have an agent's name are listed as another program's", async () => {
    await writeFile(join(dir(), "logs", `${id}_stream.jsonl`), "{}\n");
    await deploy_log({});
    expect((await load()).find(id)).toMatchObject({ status: "unknown", cookie: null });
  });

  test("an exit record is an agent of ours, and so is a file in trash no other agent", async () => {
    const report = {
      agent_id: id,
      cause: "exited",
      exit: { code: 0, signal: null, at: null },
      signals: [],
      processes_ended: [],
      survivors: [],
      streams: [],
      duration_ms: {},
      notes: [],
    };
    await writeFile(join(dir(), "exits", `${id}.json`), JSON.stringify(report));
    await writeFile(join(dir(), "trash", `${id}_terminal.log`), "x");
    const agent = (await load()).find(id);
    expect(agent).toMatchObject({ status: "running", cookie: expect.any(String) });
    expect(agent.tracked_files.terminal_log).toBe(join(dir(), "logs", `${id}_terminal.log`));
  });
});

test("a burst of changes is written in a few writes, each durable when its call resolves", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const registry = await load();
  const agent = registry.find("builder");
  await Promise.all(Array.from({ length: 200 }, (_, i) => registry.update(agent, { progress: i / 2 })));
  expect(JSON.parse(await readFile(path(), "utf8")).agents[0].progress).toBe(99.5);
});

test("what a record has inside cannot be changed in its place: the compiler says so, and the registry freezes it", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const registry = await load();
  const agent = registry.find("builder");
  await registry.update(agent, { tracked_files: { log_file: "/x" } });
  // @ts-expect-error
  expect(() => agent.notes.push("more")).toThrow(TypeError);
  expect(() => {
    // @ts-expect-error
    agent.tracked_files.log_file = "/y";
  }).toThrow(TypeError);
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

test("a task that could not be made again is tried again when somebody asks again", async () => {
  const registry = await load();
  await rename(workspace, `${workspace}-away`);
  await expect(registry.restore_task("TASK-20260101-000000-0123abcd")).rejects.toMatchObject({ code: "ENOENT" });
  await rename(`${workspace}-away`, workspace);
  const task = await registry.restore_task("TASK-20260101-000000-0123abcd");
  expect(registry.tasks.get(task.task_id)).toBe(task);
});

test("a task whose directory was made again, and could not be loaded then, is made again when somebody asks again", async () => {
  const registry = await load();
  const dir = join(workspace, "TASK-20260101-000000-0123abcd");
  await mkdir(dir);
  // Something stands in the place of one of its folders.
  await writeFile(join(dir, "logs"), "");
  await expect(registry.restore_task(basename(dir))).rejects.toMatchObject({ code: "EEXIST" });
  await rm(join(dir, "logs"));
  const task = await registry.restore_task(basename(dir));
  expect(registry.tasks.get(task.task_id)).toBe(task);
});

test("an agent that a crash left in both files leaves the registry only when the journal is sure to last", async () => {
  await writeFile(path(), JSON.stringify(seed_registry));
  const [task] = [...(await load()).tasks.values()] as [Task];
  const [agent] = [...task.agents.values()] as [AgentRecord];
  await task.journal.append([agent]);
  const order: string[] = [];
  const spy = await before_sync((synced) => {
    order.push(synced);
  });
  try {
    const again = await load();
    expect(again.agents().map((one) => one.id)).not.toContain(agent.id);
  } finally {
    spy.mockRestore();
  }
  expect(order).toEqual([task.journal.path, task.dir]);
});
