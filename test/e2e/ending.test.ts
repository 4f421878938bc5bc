import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { dirname, join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { start_daemon } from "../../src/daemon/run.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
let pid: number;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
  ({ pid } = await supervisor.boot());
});
afterEach(() => supervisor.dispose());

/** Asks for a log, and reads nothing of the answer yet. */
const ask_for_log = (agent_id: string, query = "") =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request({ socketPath: supervisor.socket, path: `/v1/agents/${agent_id}/logs${query}` }, (answer) => {
      answer.pause();
      resolve(answer);
    });
    asked.once("error", reject);
    asked.end();
  });

async function whole(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("latin1")) text += chunk;
  return text;
}

/** Paths below the workspace that the daemon holds open. */
const held_by_daemon = () =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return path.includes("/TASK-") ? [path] : [];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  });

const big_log = async (lines: number) => {
  const agent = await supervisor.deploy({
    command: ["bash", "-c", `seq 1 ${lines}; echo ready; read -r < <(sleep 1000)`],
  });
  await supervisor.printed(agent, "ready");
  return agent;
};
const BIG = 250_000;

describe("readers of logs", () => {
  test("that do not read do not defer the removal of a log, and read on in its archive when they do", async () => {
    const agent = await big_log(BIG);
    const [slow, follower] = await Promise.all([ask_for_log(agent.id), ask_for_log(agent.id, "?follow=true")]);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "archive" } });
    expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear", files_deferred: [] } });
    expect(held_by_daemon().filter((path) => path.includes("trash"))).toEqual([]);
    for (const answer of [slow, follower]) {
      const lines = (await whole(answer)).trimEnd().split("\n");
      expect(lines).toHaveLength(BIG + 1);
      expect(lines.slice(-2)).toEqual([String(BIG), "ready"]);
    }
  });

  test("that leave early leave no descriptor behind, neither of a log nor of an archive", async () => {
    const agent = await big_log(100_000);
    const leave = async (query: string) => (await ask_for_log(agent.id, query)).destroy();
    const queries = [
      "",
      "?follow=true",
      "?lines=100000",
      "?filter=1",
      "?filter=1&lines=90000&follow=true",
      "?format=jsonl",
    ];
    await Promise.all(queries.map(leave));
    await eventually("the log to be let go", () => held_by_daemon().length === 0);
    await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "archive" } });
    await Promise.all(queries.map(leave));
    await eventually("the archive to be let go", () => held_by_daemon().length === 0);
  });
});

describe("an end whose registry cannot be written", () => {
  /** A directory in the place of the last good copy makes every write fail, whoever the user is. */
  const break_registry = (path: string) => {
    const backup = `${path}.bak`;
    if (existsSync(backup)) renameSync(backup, `${backup}.aside`);
    mkdirSync(backup);
    return () => {
      rmdirSync(backup);
      renameSync(`${backup}.aside`, backup);
    };
  };

  test("says so, and is completed by itself when it can be; the daemon goes on answering", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
    await supervisor.printed(agent, "ready");
    const mend = break_registry(join(dirname(agent.tracked_files.prompt_file as string), "AGENT_REGISTRY.json"));
    const kill = supervisor.client.call("kill", { params: { agent: agent.id } });
    await expect(kill).rejects.toMatchObject({ code: "registry_unwritable" });
    expect(await supervisor.client.call("health")).toMatchObject({ ok: true });
    const { stdout } = await supervisor.cli(["events"]);
    expect(stdout).toContain("its end waits: ");
    mend();
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, status: "terminated", cleanup: { bytes_logged: 6 + 20_480 } });
  });

  test("does not keep the daemon from stopping; the next one completes it", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "ready");
    const mend = break_registry(join(dirname(agent.tracked_files.prompt_file as string), "AGENT_REGISTRY.json"));
    await supervisor.client.call("kill", { params: { agent: agent.id } }).catch((error) => error);
    expect(await supervisor.signal_daemon("SIGINT")).toBe(0);
    mend();
    await supervisor.boot();
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear" } });
  });
});

test("the sweeper removes a deferred file by itself once its holder lets go, and counts it once", async () => {
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  await supervisor.printed(agent, "ready");
  const fd = openSync(agent.tracked_files.log_file as string, "r");
  const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
  expect(receipt.cleanup.files_deferred).toHaveLength(1);
  await supervisor.signal_daemon("SIGTERM");
  const daemon = await start_daemon({
    workspace: supervisor.workspace,
    runtime_base: supervisor.root,
    base_env: supervisor.env,
    log: pino({ level: "silent" }),
    config_places: [],
    containment: "cookie",
    sweep_every_ms: 50,
  });
  try {
    closeSync(fd);
    const amended = await eventually("the receipt to be amended", () => {
      const found = supervisor.registry_on_disk()[0]?.receipt;
      return found?.amended_at ? found : null;
    });
    expect(amended.cleanup).toMatchObject({ files_deferred: [], files_failed: [], handles: "clear" });
    expect(amended.cleanup.files_deleted.toSorted()).toEqual(
      [...receipt.cleanup.files_deleted, agent.tracked_files.log_file].toSorted(),
    );
    expect(amended.cleanup.bytes_freed).toBe(receipt.cleanup.bytes_freed + receipt.cleanup.bytes_logged);
    expect(existsSync(receipt.cleanup.files_deferred[0]?.trash_path as string)).toBe(false);
  } finally {
    await daemon.stop({ agents: false });
  }
});

test("a start sweeps what killed runs left and nothing that belongs to anybody", async () => {
  const agent = await supervisor.deploy({ command: ["true"] });
  await supervisor.client.call("wait", { params: { agent: agent.id } });
  const running = await supervisor.deploy({ command: [fixture("idles")] });
  const { runtime_dir } = await supervisor.client.call("health");
  await supervisor.signal_daemon("SIGKILL");
  const task = dirname(agent.tracked_files.prompt_file as string);
  const touch = (...paths: string[]) => {
    for (const path of paths) writeFileSync(path, "x");
    return paths;
  };
  const swept = touch(
    join(supervisor.workspace, "daemon.json.1234567"),
    join(supervisor.workspace, ".write-probe-4194999"),
    join(runtime_dir, "000000-abcdef.err"),
    join(runtime_dir, "000000-abcdef.sock"),
    join(task, "AGENT_REGISTRY.json.987654321"),
    join(task, "exits", `${agent.id}.json.new`),
    join(task, "exits", `${agent.id}.json`),
    join(task, "archive", `${agent.id}_stream.jsonl.gz.new`),
    join(task, "archive", `${agent.id}_receipt.json.new`),
  );
  await supervisor.shell(`mkfifo ${join(runtime_dir, "000000-abcdef.sock.out")}`);
  swept.push(join(runtime_dir, "000000-abcdef.sock.out"));
  mkdirSync(join(supervisor.workspace, "TASK-20200101-000000-00000001", "logs"), { recursive: true });
  const kept = touch(
    join(supervisor.workspace, "notes.txt"),
    join(supervisor.workspace, "TASK-20200101-000000-00000001", "logs", "somebody's"),
    join(task, "trash", "somebody's"),
    join(task, "exits", "unknown-000000-abcdef.json"),
    join(task, "archive", "somebody's.gz.new"),
    join(task, "archive", "unknown-000000-abcdef_receipt.json.new"),
    join(task, "AGENT_REGISTRY.json.old"),
  );
  await supervisor.boot();
  expect(swept.filter((path) => existsSync(path))).toEqual([]);
  expect(kept.filter((path) => !existsSync(path))).toEqual([]);
  await supervisor.says("nobody can tell whose this file in trash is");
  expect(await supervisor.client.call("get_agent", { params: { agent: running.id } })).toMatchObject({
    status: "running",
  });
});
