/** Links planted in place of tracked files and directories: nothing outside the workspace is read, made, written, renamed, archived or deleted. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { text as read_text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
let outside: string;
const SECRET = "precious, and nobody's business\n";

beforeEach(async () => {
  supervisor = await TestSupervisor.start();
  outside = join(supervisor.root, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "file"), SECRET);
});
afterEach(() => supervisor.dispose());

const task_dir = (agent: AgentRecord) => dirname(agent.tracked_files.prompt_file as string);
const idle = async (options = {}) => {
  const agent = await supervisor.deploy({ command: [fixture("idles")], prompt: "p", ...options });
  await supervisor.printed(agent, "ready");
  return agent;
};
/** Moves what is there aside, and plants a link in its place. */
function plant(path: string, target: string): void {
  if (existsSync(path)) renameSync(path, `${path}.moved`);
  symlinkSync(target, path);
}
/** Outside, everything is as it was, and nothing is new. */
function expect_untouched(names: string[] = ["file"]): void {
  expect(readdirSync(outside).sort()).toEqual(names.sort());
  for (const name of names) expect(readFileSync(join(outside, name), "utf8")).toBe(SECRET);
}
/** What an operation answers, as text: its error is an answer, too. */
const told = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    (one) => JSON.stringify(one),
    (error) => error.message,
  );
const report = (id: string) =>
  told(supervisor.client.call("progress", { params: { agent: id }, body: { status: "s", message: "m" } }));
const find = (id: string) =>
  told(
    supervisor.client.call("finding", {
      params: { agent: id },
      body: { finding_type: "t", severity: "s", message: "m" },
    }),
  );
const findings = (task: string) => told(supervisor.client.call("findings", { params: { task } }));
const logs = (id: string) => told(supervisor.client.stream("logs", { params: { agent: id } }).then(read_text));
const kill = (id: string, cleanup: "delete" | "archive" | "keep" = "delete") =>
  supervisor.client.call("kill", { params: { agent: id }, body: { cleanup } });

test.each(["prompt_file", "log_file", "progress_file", "findings_file", "deploy_log"])(
  "a link in place of the %s is left alone by reports, logs, verify, kill and archive",
  async (role) => {
    for (const cleanup of ["delete", "archive", "keep"] as const) {
      const agent = await idle();
      plant(agent.tracked_files[role] as string, join(outside, "file"));
      await report(agent.id);
      await find(agent.id);
      expect(await logs(agent.id)).not.toContain("precious");
      expect(await findings(agent.task_id as string)).not.toContain("precious");
      const killed = await kill(agent.id, cleanup);
      expect(killed.cleanup.files_failed, cleanup).toMatchObject([{ path: agent.tracked_files[role] }]);
      expect(killed.cleanup.survivors).toEqual([]);
      expect_untouched();
    }
  },
);

test.each(["logs", "progress", "findings"])("a link in place of the %s directory is left alone", async (folder) => {
  const agent = await idle();
  const dir = join(task_dir(agent), folder);
  const inside = Object.values(agent.tracked_files).filter((path) => dirname(path) === dir);
  for (const path of inside) writeFileSync(join(outside, basename(path)), SECRET);
  plant(dir, outside);
  const [reported, found] = [await report(agent.id), await find(agent.id)];
  if (folder === "progress") expect(reported).toContain("leads to another place");
  if (folder === "findings") expect(found).toContain("leads to another place");
  expect(await logs(agent.id)).not.toContain("precious");
  // Nothing new is begun in such a task.
  const more = await supervisor.cli(["deploy", "--task", agent.task_id as string, "--", "true"]);
  if (folder === "logs")
    expect(more).toMatchObject({ code: 1, stderr: expect.stringContaining("leads to another place") });
  await kill(agent.id);
  expect_untouched(["file", ...inside.map((path) => basename(path))]);
  // What was begun of that deploy is taken back when the directory is its own again; before that, a stop would say that it could not be.
  rmSync(dir);
  renameSync(`${dir}.moved`, dir);
});

test.each(["trash", "archive", "exits"])("a link in place of the %s directory is left alone", async (folder) => {
  for (const cleanup of ["delete", "archive"] as const) {
    const agent = await idle();
    // What would be hit, had it been followed.
    const hits = [
      ...Object.values(agent.tracked_files).flatMap((path) => [
        basename(path),
        `${basename(path)}.gz`,
        `${basename(path)}.gz.new`,
      ]),
      `${agent.id}.json`,
    ];
    for (const name of hits) writeFileSync(join(outside, name), SECRET);
    const dir = join(task_dir(agent), folder);
    plant(dir, outside);
    expect(await logs(agent.id)).not.toContain("precious");
    const killed = await kill(agent.id, cleanup);
    expect(killed).toMatchObject({ status: "terminated", cleanup: { survivors: [] } });
    expect_untouched(["file", ...hits]);
    rmSync(dir);
    renameSync(`${dir}.moved`, dir);
    for (const name of hits) rmSync(join(outside, name));
  }
});

test("a link planted where an archive is about to be written is not written through", async () => {
  const agent = await idle();
  const archive = join(task_dir(agent), "archive");
  for (const path of Object.values(agent.tracked_files))
    for (const name of [`${basename(path)}.gz`, `${basename(path)}.gz.new`])
      symlinkSync(join(outside, "file"), join(archive, name));
  await kill(agent.id, "archive");
  expect_untouched();
});

test("links in place of the registry, its copy and daemon.json are not written through", async () => {
  const agent = await idle();
  const registry = join(task_dir(agent), "AGENT_REGISTRY.json");
  for (const path of [`${registry}.bak`, `${registry}.new`, join(supervisor.workspace, "daemon.json")])
    plant(path, join(outside, "file"));
  await supervisor.client.call("kill", { params: { agent: agent.id } });
  expect_untouched();
  await supervisor.client.call("stop", { body: {} });
  supervisor.forget_daemon();
  expect_untouched();
});

test("a task whose directory is a link, or whose registry is one, is not loaded, and what they lead to is not touched", async () => {
  await supervisor.signal_daemon("SIGTERM");
  const entry = { id: "old-225319-aaaaaa", status: "running", tracked_files: { log_file: join(outside, "file") } };
  const text = JSON.stringify({ task_id: "TASK-20251029-225319-45548b6a", agents: [entry] });
  const elsewhere = join(supervisor.root, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "AGENT_REGISTRY.json"), text);
  symlinkSync(elsewhere, join(supervisor.workspace, "TASK-20251029-225319-45548b6a"));
  const dir = join(supervisor.workspace, "TASK-20251029-225319-45548b6b");
  mkdirSync(dir);
  symlinkSync(join(elsewhere, "AGENT_REGISTRY.json"), join(dir, "AGENT_REGISTRY.json"));
  await supervisor.boot();
  expect((await supervisor.cli(["ps", "--all"])).stdout).toBe("no agents\n");
  expect(readdirSync(elsewhere)).toEqual(["AGENT_REGISTRY.json"]);
  expect(readFileSync(join(elsewhere, "AGENT_REGISTRY.json"), "utf8")).toBe(text);
  await supervisor.says("it was left alone");
});

test("a registry that records files outside, or an id that leads out, makes nobody read, write or remove anything there", async () => {
  await supervisor.signal_daemon("SIGTERM");
  const dir = join(supervisor.workspace, "TASK-20251029-225319-45548b6a");
  mkdirSync(join(dir, "exits"), { recursive: true });
  const target = join(outside, "file");
  writeFileSync(join(outside, "x.json"), SECRET);
  const files = {
    log_file: target,
    progress_file: target,
    findings_file: `${dir}/../../outside/file`,
    deploy_log: `${dir}/logs/../../../outside/file`,
  };
  const host = { pid: 1, start_time: 1, socket: join(outside, "file"), protocol: 1, boot_id: "another" };
  writeFileSync(
    join(dir, "AGENT_REGISTRY.json"),
    JSON.stringify({
      task_id: basename(dir),
      agents: [
        { id: "old-225319-aaaaaa", status: "running", tracked_files: files },
        { id: "ours-225319-bbbbbb", status: "running", tmux_session: "x", cookie: "c", host, tracked_files: files },
        { id: "../../../outside/x", status: "running" },
      ],
    }),
  );
  await supervisor.boot();
  for (const id of ["old", "ours"]) {
    expect(await logs(id)).not.toContain("precious");
    await report(id);
    await find(id);
    await told(supervisor.client.call("verify", { body: { agent: id } }));
    await told(kill(id));
  }
  expect((await supervisor.cli(["kill", "../../../outside/x"])).code).toBe(4);
  expect_untouched(["file", "x.json"]);
});
