/** A folder of a task is a file system of its own: nothing can be renamed from it into trash. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { NO_MOUNT, needs, small_disk } from "../support/disks.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe.skipIf(NO_MOUNT)(needs(NO_MOUNT, "a task with a mount of its own"), () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  /** An agent of a task whose `folder` is a tmpfs. */
  const deploy_on = async (folder: string) => {
    const { task_id } = await supervisor.client.call("create_task", { body: { description: "mounts" } });
    const dir = join(supervisor.workspace, task_id);
    await small_disk(supervisor, join(dir, folder), "8m");
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")], task_id });
    await supervisor.printed(agent, "ready");
    return { agent, dir };
  };
  const kill = (agent: AgentRecord, cleanup: "delete" | "archive") =>
    supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup } });
  /** Every file of the task that has the agent's id in its name. */
  const files_of = (dir: string, agent: AgentRecord) =>
    readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((name) => name.includes(agent.id));

  test.each(["logs", "trash", "archive"])("at %s/ loses nothing and leaves nothing", async (folder) => {
    const { agent, dir } = await deploy_on(folder);
    expect(await kill(agent, "archive")).toMatchObject({
      success: true,
      cleanup: { files_failed: [], files_deferred: [], handles: "clear", bytes_logged: 6 + 20_480 },
    });
    const log = files_of(dir, agent).find((name) => name.endsWith("_stream.jsonl.gz")) as string;
    expect(gunzipSync(readFileSync(join(dir, log)))).toHaveLength(6 + 20_480);
    expect(files_of(dir, agent).filter((name) => !name.startsWith("archive/"))).toEqual([]);
  });

  test("at logs/ keeps a log that somebody holds, out of its place, until he lets go", async () => {
    const { agent, dir } = await deploy_on("logs");
    const path = agent.tracked_files.log_file as string;
    const holder = spawn("tail", ["-f", path], { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    const receipt = await kill(agent, "delete");
    const [deferred, ...others] = receipt.cleanup.files_deferred;
    expect(others).toEqual([]);
    expect(deferred).toMatchObject({ path, verdict: "held", holders: [{ pid: holder.pid }] });
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(deferred?.trash_path as string)).toHaveLength(6 + 20_480);
    expect((await supervisor.client.call("gc", {})).removed).toEqual([]);
    const gone = new Promise((resolve) => holder.once("exit", resolve));
    holder.kill();
    await gone;
    await eventually(
      "the log to be removed",
      async () => (await supervisor.client.call("gc", {})).removed.length === 1,
    );
    expect(files_of(dir, agent)).toEqual([]);
    expect((await supervisor.client.call("get_agent", { params: { agent: agent.id } })).receipt).toMatchObject({
      cleanup: { files_deferred: [], handles: "clear" },
    });
  });
});
