import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { collect_garbage } from "../../src/daemon/gc.ts";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { eventually, fixture } from "../support/supervisor.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

let one: InProcess;
beforeEach(async () => {
  one = await start_in_process({ ended_in_registry: 1, ended_minutes: 30, days: 2 });
});
afterEach(() => one.dispose());

const sweep = (dry_run = false) => one.client.call("gc", { body: { dry_run } });
const ended = async (cleanup: "archive" | "delete" | "keep" = "archive", type = "agent"): Promise<AgentRecord> => {
  const { id } = await one.supervisor.deploy({ command: ["sh", "-c", "seq 1 100"], cleanup, type });
  await one.client.call("wait", { params: { agent: id } });
  return one.client.call("get_agent", { params: { agent: id } });
};
const dir_of = (agent: AgentRecord) => dirname(agent.tracked_files.prompt_file as string);
const archived = (agent: AgentRecord) =>
  readdirSync(join(dir_of(agent), "archive")).filter((name) => name.includes(agent.id));
const in_registry = () => one.supervisor.registry_on_disk().map(({ id }) => id);
const journal_of = (agent: AgentRecord) =>
  readFileSync(join(dir_of(agent), "receipts.jsonl"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as AgentRecord).id);
/** Time passes, and two sweeps come: one that finds what is too old by then (files have real times), and one that has known of it for a while. */
const pass = async (ms: number) => {
  one.clock.advance(ms + MINUTE);
  await sweep();
  one.clock.advance(12 * MINUTE);
  return sweep();
};
const about = ({ items }: Awaited<ReturnType<typeof sweep>>, path: string) =>
  items.filter((item) => item.path === path);

describe("an ended agent", () => {
  test("leaves the registry for the journal when another one ends, and everything that asks for it finds it still", async () => {
    const [first, second, third] = [await ended(), await ended(), await ended()];
    await eventually("two to leave", () => in_registry().length === 1);
    expect(in_registry()).toEqual([third.id]);
    expect(journal_of(first)).toEqual([first.id, second.id]);
    const params = { agent: first.id };
    expect(await one.client.call("get_agent", { params })).toMatchObject({
      status: "completed",
      receipt: first.receipt,
    });
    expect(await one.client.call("wait", { params })).toEqual(first.receipt);
    expect(await one.client.call("kill", { params })).toEqual(first.receipt);
    expect((await one.client.call("get_output", { params, query: { tail: 1 } })).lines).toEqual(["100"]);
    const cli = async (...args: string[]) => (await one.supervisor.cli(args)).stdout;
    expect((await cli("logs", first.id)).trim().split("\n")).toHaveLength(100);
    expect(await cli("status", first.id)).toContain("receipt");
    expect(await cli("ps", "--all")).toMatch(new RegExp(`${first.id}[^]*${second.id}[^]*${third.id}`));
    expect(await cli("ps")).toBe("no agents are running\n");
    expect(await one.client.call("list_tasks")).toMatchObject([{ agents: { completed: 3 } }]);
    const { agent_records } = await one.client.call("get_task", { params: { task: first.task_id as string } });
    expect(agent_records.map(({ id }) => id)).toEqual([first.id, second.id, third.id]);
    // By the beginning of its id, unless that fits several, wherever they are.
    expect(await one.client.call("get_agent", { params: { agent: first.id.slice(0, -1) } })).toMatchObject(
      params && { id: first.id },
    );
    await expect(one.client.call("get_agent", { params: { agent: "agent-" } })).rejects.toMatchObject({
      code: "ambiguous_agent",
    });
    await expect(
      one.client.call("progress", { params, body: { status: "working", message: "late" } }),
    ).rejects.toMatchObject({ code: "agent_not_running" });
  });

  test("is neither lost nor doubled by a restart, whichever of the two files a crash had reached", async () => {
    const [first] = [await ended(), await ended()];
    await eventually("one to leave", () => in_registry().length === 1);
    await one.stop();
    const path = join(dir_of(first), "AGENT_REGISTRY.json");
    const registry = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...registry, agents: [first, ...registry.agents] }));
    await one.start();
    const all = await one.client.call("list_agents", { query: { all: true } });
    expect(all.filter(({ id }) => id === first.id)).toMatchObject([{ receipt: first.receipt }]);
    await ended();
    await eventually("the registry to be written", () => !in_registry().includes(first.id));
    expect(journal_of(first).filter((id) => id === first.id)).toHaveLength(1);
  });

  test("leaves by its age, and its task follows when nothing of it is left", async () => {
    const agent = await ended("delete");
    const { dir } = { dir: dir_of(agent) };
    expect(in_registry()).toEqual([agent.id]);
    await pass(31 * MINUTE);
    expect(in_registry()).toEqual([]);
    await pass(2 * DAY);
    await expect(one.client.call("get_agent", { params: { agent: agent.id } })).rejects.toMatchObject({
      code: "agent_not_found",
    });
    expect(existsSync(join(dir, "receipts.jsonl"))).toBe(true);
    await pass(3 * DAY);
    expect(existsSync(dir)).toBe(false);
    expect(await one.client.call("list_tasks")).toEqual([]);
    await ended();
  });

  test("goes on counting when it has left, when its receipt has expired, when its task has, and after a restart", async () => {
    const figures = async () => (await one.client.call("get_metrics")).receipts;
    const [first] = [await ended("delete"), await ended("archive")];
    const expected = {
      ...{ agents: 2, clear: 2, deferred: 0, failed: 0 },
      bytes_logged: 2 * (first.receipt?.cleanup.bytes_logged as number),
    };
    const before = await figures();
    expect(before).toMatchObject(expected);
    const counts = () => one.client.call("list_tasks");
    await pass(31 * MINUTE);
    expect(in_registry()).toEqual([]);
    expect(await figures()).toEqual(before);
    await pass(2 * DAY);
    await pass(MINUTE);
    await expect(one.client.call("get_agent", { params: { agent: first.id } })).rejects.toThrow(/no agent/);
    expect(await figures()).toEqual(before);
    expect(await counts()).toMatchObject([{ agents: { completed: 2 } }]);
    const { swept } = await one.client.call("get_metrics");
    // Prompt, log, deploy log and receipt of the archived one.
    expect(swept).toEqual({ files: 4, bytes: expect.any(Number) });
    expect(swept.bytes).toBeGreaterThan(200);
    await one.stop();
    await one.start();
    expect(await one.client.call("get_metrics")).toMatchObject({ receipts: before, swept });
    expect(await counts()).toMatchObject([{ agents: { completed: 2 } }]);
    await pass(3 * DAY);
    expect(await counts()).toEqual([]);
    expect(await figures()).toEqual(before);
    await one.stop();
    await one.start();
    expect(await one.client.call("get_metrics")).toMatchObject({ receipts: before, swept });
    await ended("delete");
    expect((await figures()).agents).toBe(3);
  });

  test("whose files were kept is not forgotten while one of them is there, and its files stay", async () => {
    const agent = await ended("keep");
    await ended();
    await pass(30 * DAY);
    await pass(30 * DAY);
    expect(existsSync(agent.tracked_files.log_file as string)).toBe(true);
    expect(await one.client.call("get_agent", { params: { agent: agent.id } })).toMatchObject({ id: agent.id });
    expect((await one.client.call("get_output", { params: { agent: agent.id }, query: { tail: 1 } })).lines).toEqual([
      "100",
    ]);
    // A person takes them away, one after the other.
    const [first, ...others] = agent.receipt?.cleanup.files_kept ?? [];
    expect(others).toHaveLength(2);
    for (const path of others) rmSync(path);
    await pass(MINUTE);
    expect(await one.client.call("get_agent", { params: { agent: agent.id } })).toMatchObject({ id: agent.id });
    rmSync(first as string);
    await pass(MINUTE);
    await expect(one.client.call("get_agent", { params: { agent: agent.id } })).rejects.toMatchObject({
      code: "agent_not_found",
    });
  });

  test("of whose folder a mount was made leaves no trash there: what nobody knows is swept, and the task goes all the same", async () => {
    const agent = await ended("delete");
    const trash = join(dir_of(agent), "logs", ".trash");
    mkdirSync(trash);
    const strays = ["gone-000000-abcdef_stream.jsonl", "gone-000000-abcdef_stream.jsonl.1"].map((name) =>
      join(trash, name),
    );
    for (const path of strays) writeFileSync(path, "x");
    await pass(31 * MINUTE);
    for (const path of strays)
      expect(about(await sweep(true), path), path).toMatchObject([{ what: "orphaned_file", action: "wait" }]);
    await pass(2 * DAY);
    expect(readdirSync(trash)).toEqual([]);
    await pass(3 * DAY);
    expect(existsSync(dir_of(agent))).toBe(false);
  });
});

describe("an archive", () => {
  test("has its receipt beside it, and goes as a whole when it is too old: first only told, then removed, with an event", async () => {
    const agent = await ended();
    expect(archived(agent).sort()).toEqual(
      [
        `${agent.id}_receipt.json`,
        `${agent.id}_stream.jsonl.gz`,
        `agent_prompt_${agent.id}.txt.gz`,
        `deploy_${agent.id}.json.gz`,
      ].sort(),
    );
    expect(JSON.parse(readFileSync(join(dir_of(agent), "archive", `${agent.id}_receipt.json`), "utf8"))).toEqual(
      agent.receipt,
    );
    one.clock.advance(2 * DAY + MINUTE);
    expect((await sweep()).items).toContainEqual(expect.objectContaining({ what: "expired_archive", action: "wait" }));
    one.clock.advance(11 * MINUTE);
    expect((await sweep(true)).items).toContainEqual(
      expect.objectContaining({
        what: "expired_archive",
        action: "remove",
        result: "dry_run",
        why: "it is older than 2 days",
      }),
    );
    expect(archived(agent)).toHaveLength(4);
    await sweep();
    expect(archived(agent)).toEqual([]);
    expect((await one.supervisor.cli(["events"])).stdout).toContain("the archives of 1 agents");
    expect((await one.supervisor.cli(["logs", agent.id])).stderr).toMatch(/agent_not_found|no agent|archive is gone/);
  });

  test("is not made older by a clock that is set forward", async () => {
    const agent = await ended();
    one.clock.set_wall(30 * DAY);
    await sweep();
    one.clock.advance(11 * MINUTE);
    await sweep();
    expect(archived(agent)).toHaveLength(4);
  });

  test("that somebody reads, and one that nobody can tell the agent of, are left alone", async () => {
    const agent = await ended();
    const archive = join(dir_of(agent), "archive");
    const strangers = ["notes.txt", "other-000000-abcdef_stream.jsonl.gz"].map((name) => join(archive, name));
    for (const path of strangers) writeFileSync(path, "x");
    symlinkSync("/etc/hostname", join(archive, `${agent.id}_terminal.log.gz`));
    const fd = openSync(join(archive, `${agent.id}_stream.jsonl.gz`), "r");
    const held = await pass(3 * DAY);
    expect(held.items).toContainEqual(
      expect.objectContaining({ what: "expired_archive", action: "wait", why: expect.stringContaining("held by") }),
    );
    closeSync(fd);
    expect(archived(agent)).toHaveLength(5);
    const { items } = await sweep();
    for (const path of strangers)
      expect(about({ ...held, items }, path)).toMatchObject([{ action: "leave", result: "left" }]);
    expect(archived(agent)).toEqual([`${agent.id}_terminal.log.gz`]);
    expect(strangers.map((path) => existsSync(path))).toEqual([true, true]);
  });
});

test("over the size that is allowed the oldest archives go at once, and the youngest stay", async () => {
  await one.dispose();
  one = await start_in_process({ max_bytes: 9_000 });
  const agents: AgentRecord[] = [];
  for (let count = 0; count < 5; count++) {
    agents.push(await ended());
    one.clock.advance(MINUTE);
  }
  await sweep();
  const left = agents.map((agent) => archived(agent).length);
  const bytes = agents.length && readdirSync(join(dir_of(agents[0] as AgentRecord), "archive"));
  expect(bytes).toBeTruthy();
  expect(left[0]).toBe(0);
  expect(left.at(-1)).toBe(4);
  expect(left).toEqual(left.toSorted());
});

describe("the sweeper", () => {
  test("removes what belongs to nothing only when it has known of it for a while, and an orphaned log not before an archive would go", async () => {
    const agent = await ended();
    const { runtime_dir } = await one.client.call("health");
    const dir = dir_of(agent);
    const orphan = join(dir, "logs", "gone-000000-abcdef_stream.jsonl");
    const temporary = join(dir, "AGENT_REGISTRY.json.987654321");
    const socket = join(runtime_dir, "000000-abcdef.err");
    const expired = join(one.supervisor.workspace, ".expired-TASK-20200101-000000-00000001");
    mkdirSync(join(expired, "logs"), { recursive: true });
    for (const path of [orphan, temporary, socket, join(expired, "AGENT_REGISTRY.json")]) writeFileSync(path, "x");
    const first = await sweep();
    for (const path of [orphan, temporary, socket])
      expect(about(first, path), path).toMatchObject([{ action: "wait", result: "left" }]);
    expect(existsSync(expired)).toBe(false);
    one.clock.advance(11 * MINUTE);
    const second = await sweep();
    expect(about(second, temporary)).toMatchObject([{ what: "stale_temporary", result: "done" }]);
    expect(about(second, socket)).toMatchObject([{ what: "runtime_file", result: "done" }]);
    expect(existsSync(orphan)).toBe(true);
    await pass(2 * DAY);
    expect(existsSync(orphan)).toBe(false);
  });

  test("keeps what a receipt was told while it removed files that had been deferred", async () => {
    const { id, tracked_files } = await one.supervisor.deploy({ command: [fixture("idles")], cleanup: "delete" });
    const reader = spawn("tail", ["-f", tracked_files.log_file as string], { stdio: "ignore" });
    const gone = once(reader, "exit");
    await eventually("the reader to hold the log", async () =>
      (await one.client.call("verify", { body: { agent: id } })).files.some(({ holders }) =>
        holders.some(({ pid }) => pid === reader.pid),
      ),
    );
    const before = await one.client.call("kill", { params: { agent: id } });
    expect(before.cleanup.files_deferred).toMatchObject([{ path: tracked_files.log_file }]);
    reader.kill("SIGKILL");
    await gone;
    const { registry, verifier } = one.daemon.services;
    const verify = verifier.verify.bind(verifier);
    verifier.verify = async (...asked) => {
      const verdicts = await verify(...asked);
      const agent = registry.find(id);
      if (agent.receipt) await registry.update(agent, { receipt: { ...agent.receipt, notes: ["told meanwhile"] } });
      return verdicts;
    };
    await sweep();
    const { receipt } = await one.client.call("get_agent", { params: { agent: id } });
    expect(receipt).toMatchObject({ notes: ["told meanwhile"], cleanup: { files_deferred: [], handles: "clear" } });
  });

  test("leaves alone what it cannot tell the owner of: other names, links, a task with an entry that is no agent, a session that a person made", async () => {
    const running = await one.supervisor.deploy({ command: [fixture("idles")] });
    await one.supervisor.printed(running, "ready");
    const dir = dir_of(running);
    await one.stop();
    const task = join(one.supervisor.workspace, "TASK-20200101-000000-00000001");
    mkdirSync(join(task, "logs"), { recursive: true });
    const foreign = { id: "old-225319-aaaaaa", status: "completed", tmux_session: "agent_old" };
    writeFileSync(
      join(task, "AGENT_REGISTRY.json"),
      JSON.stringify({
        task_id: "TASK-20200101-000000-00000001",
        created_at: "2020-01-01T00:00:00.000Z",
        agents: [foreign, { no: "id" }],
      }),
    );
    await one.start();
    const link = join(dir, "logs", "gone-000000-abcde0_stream.jsonl");
    symlinkSync("/etc/hostname", link);
    const left = [
      join(dir, "notes.txt"),
      join(dir, "logs", "somebody's_stream.jsonl"),
      join(task, "logs", "gone-000000-abcdef_stream.jsonl"),
      join(task, "logs", "old-225319-aaaaaa_stream.jsonl"),
    ];
    for (const path of left) writeFileSync(path, "x");
    const { tmux } = one.daemon.services;
    const session = `tmux -S ${tmux.socket}`;
    await one.supervisor.shell(`${session} new-session -d -s mine 'sleep 1000'`);
    await pass(30 * DAY);
    const { items } = await pass(30 * DAY);
    expect(items.filter(({ result }) => result !== "left")).toEqual([]);
    for (const path of [...left, link]) expect(existsSync(path), path).toBe(true);
    expect(about({ items, removed: [], deferred: [] }, "mine")).toMatchObject([
      { what: "orphaned_session", action: "leave" },
    ]);
    expect(await one.client.call("get_agent", { params: { agent: running.id } })).toMatchObject({ status: "running" });
    expect((await one.supervisor.shell(`${session} has-session -t =agent_${running.id}`)).code).toBe(0);
    await one.supervisor.shell(`${session} kill-session -t =mine`);
  });

  test("ends a session that outlived its agent", async () => {
    const agent = await ended("delete");
    const { tmux } = one.daemon.services;
    await one.supervisor.shell(`tmux -S ${tmux.socket} new-session -d -s ${agent.tmux_session} 'sleep 1000'`);
    expect(about(await sweep(), agent.tmux_session as string)).toMatchObject([{ action: "wait" }]);
    one.clock.advance(11 * MINUTE);
    expect(about(await sweep(), agent.tmux_session as string)).toMatchObject([
      { what: "orphaned_session", result: "done" },
    ]);
    expect((await one.supervisor.shell(`tmux -S ${tmux.socket} has-session -t =${agent.tmux_session}`)).code).not.toBe(
      0,
    );
  });

  test("does what a dry run said that it would, thing by thing, and a dry run does nothing", async () => {
    const old = [await ended("archive"), await ended("delete"), await ended("archive"), await ended("keep")];
    await eventually("three to leave", () => in_registry().length === 1);
    const dir = dir_of(old[0] as AgentRecord);
    const { runtime_dir } = await one.client.call("health");
    const garbage = [
      join(dir, "logs", "gone-000000-abcdef_stream.jsonl"),
      join(dir, "AGENT_REGISTRY.json.987654321"),
      join(dir, "exits", `${old[0]?.id}.json.new`),
      join(runtime_dir, "000000-abcdef.err"),
    ];
    for (const path of garbage) writeFileSync(path, "x");
    const files = () =>
      [one.supervisor.workspace, runtime_dir]
        .flatMap((at) => readdirSync(at, { recursive: true, encoding: "utf8" }))
        .sort();
    const kinds = new Set<string>();
    for (const ms of [
      MINUTE,
      31 * MINUTE,
      12 * MINUTE,
      2 * DAY,
      12 * MINUTE,
      MINUTE,
      12 * MINUTE,
      3 * DAY,
      12 * MINUTE,
    ]) {
      one.clock.advance(ms);
      const before = files();
      const would = await sweep(true);
      expect(files()).toEqual(before);
      const did = await sweep();
      const said = ({ items }: typeof did) =>
        items.map(
          ({ what, path, action, result }) => `${what} ${path} ${action} ${result === "dry_run" ? "done" : result}`,
        );
      expect(said(did)).toEqual(said(would));
      for (const { what, result } of did.items) if (result === "done") kinds.add(what);
    }
    const expected = [
      "ended_agent",
      "expired_archive",
      "expired_receipts",
      "orphaned_file",
      "runtime_file",
      "stale_temporary",
    ];
    expect([...kinds].sort()).toEqual(expected);
  });

  test("foresees the receipts that are over the limit only once their agents have left, in that very sweep", async () => {
    await one.stop();
    const retention = { ended_in_registry: 9, ended_minutes: 30, receipts_max_bytes: 4_000 };
    writeFileSync(join(one.supervisor.root, "supervisor.config.json"), JSON.stringify({ retention, spare_hosts: 0 }));
    await one.start();
    for (let count = 0; count < 3; count++) await ended("delete");
    one.clock.advance(31 * MINUTE);
    const said = ({ items }: Awaited<ReturnType<typeof sweep>>) =>
      items.map(({ what, path, action, why }) => ({ what, path, action, why }));
    const would = said(await sweep(true));
    expect(would.map(({ what }) => what)).toEqual(["ended_agent", "ended_agent", "ended_agent", "expired_receipts"]);
    expect(would.at(-1)?.why).toMatch(/^0 receipts are older than 7 days, [12] are over 4000 bytes in all$/);
    expect(said(await sweep())).toEqual(would);
  });

  test("says in one line of 'gc' for each thing what it is, why, and what was done", async () => {
    await ended();
    await ended();
    one.clock.advance(3 * DAY);
    const { stdout } = await one.supervisor.cli(["gc", "--dry-run"]);
    expect(stdout).toMatch(
      /^would move agent-\d{6}-[0-9a-f]{6}: it ended more than 30 minutes ago; its record moves to .*receipts\.jsonl$/m,
    );
    expect(stdout).toMatch(
      /^waits .*\/archive\/agent-.*_\*: it is older than 2 days; the sweeper must know of it for 10 minutes first$/m,
    );
  });
});

test("a sweep that is asked for while one runs comes after it, and nothing is counted twice", async () => {
  const agent = await ended();
  one.clock.advance(2 * DAY + MINUTE);
  await sweep();
  one.clock.advance(11 * MINUTE);
  const both = await Promise.all([1, 2].map(() => collect_garbage(one.daemon.services, false)));
  const removals = both.flatMap(({ items }) =>
    items.filter(({ what, result }) => what === "expired_archive" && result === "done"),
  );
  expect(removals).toHaveLength(1);
  expect(archived(agent)).toEqual([]);
});
