/** The MCP server, as the official SDK's client sees it: the tools of the seed, with its answers. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { process_ref_of } from "../../src/drivers/procfs.ts";
import { McpClient } from "../support/mcp.ts";
import { end_exactly } from "../support/processes.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

describe("an MCP client", () => {
  let supervisor: TestSupervisor;
  let mcp: McpClient;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
    mcp = await McpClient.connect(supervisor);
  });
  afterEach(async () => {
    await mcp.close();
    await supervisor.dispose();
  });

  const idle = { command: [fixture("idles")] };
  const create = async () => (await mcp.call("create_real_task", { description: "build it" })).task_id as string;
  const deploy = async (task_id: string, agent_type: string, more: object = idle) =>
    (await mcp.call("deploy_headless_agent", { task_id, agent_type, prompt: `be a ${agent_type}`, ...more }))
      .agent_id as string;

  test("a whole story: a task, three agents, a child, a grandchild refused for its depth, reports, findings, output in every format, a kill, and how the task stands after it", async () => {
    const task = await mcp.call("create_real_task", {
      description: "build it",
      priority: "P1",
      client_cwd: supervisor.root,
      max_depth: 2,
      expected_deliverables: ["a thing"],
    });
    const task_id = task.task_id as string;
    expect(task).toEqual({
      success: true,
      task_id: expect.stringMatching(/^TASK-/),
      description: "build it",
      priority: "P1",
      workspace: `${supervisor.workspace}/${task_id}`,
      status: "INITIALIZED",
      has_enhanced_context: true,
      expected_deliverables: ["a thing"],
    });
    const one = await deploy(task_id, "investigator");
    const two = await deploy(task_id, "builder");
    const three = await deploy(task_id, "fixer");
    const child = await mcp.call("spawn_child_agent", {
      task_id,
      parent_agent_id: one,
      child_agent_type: "helper",
      child_prompt: "help",
      ...idle,
    });
    expect(child).toMatchObject({
      success: true,
      agent_id: expect.stringMatching(/^helper-\d{6}-[0-9a-f]{6}$/),
      tmux_session: `agent_${child.agent_id}`,
      type: "helper",
      parent: one,
      task_id,
      status: "deployed",
      workspace: `${supervisor.workspace}/${task_id}`,
      deployment_method: "tmux session",
      depth: 2,
    });
    const grandchild = { task_id, parent_agent_id: child.agent_id, child_agent_type: "deep", child_prompt: "help" };
    // The seed's shape of an error; `code` is ours.
    expect(await mcp.call("spawn_child_agent", { ...grandchild, ...idle })).toEqual({
      success: false,
      code: "limit_reached",
      error: expect.stringMatching(
        new RegExp(
          `^max_depth of ${task_id} is 2: a child of ${child.agent_id} would have depth 3; let .* do the work`,
        ),
      ),
    });
    const report = { task_id, status: "working", progress: 10 };
    await mcp.call("update_agent_progress", { ...report, agent_id: one, message: "looking" });
    const finding = { task_id, finding_type: "issue", severity: "high", message: "it leaks", data: { line: 3 } };
    expect(await mcp.call("report_agent_finding", { ...finding, agent_id: two })).toMatchObject({
      success: true,
      own_finding: { agent_id: two, finding_type: "issue", severity: "high", message: "it leaks", data: { line: 3 } },
      coordination_info: {
        success: true,
        agent_counts: { total_spawned: 4, active: 4, completed: 0 },
        recent_progress: [{ agent_id: one, message: "looking" }],
        recent_findings: [],
      },
    });
    expect(await mcp.call("update_agent_progress", { ...report, agent_id: one, message: "on" })).toMatchObject({
      own_update: { agent_id: one, status: "working", progress: 10, message: "on", timestamp: expect.any(String) },
      coordination_info: { recent_progress: [], recent_findings: [{ agent_id: two, message: "it leaks" }] },
    });
    expect(await mcp.call("get_task_findings", { task_id, severity: "high" })).toMatchObject({
      success: true,
      total: 1,
      findings: [{ agent_id: two, data: { line: 3 } }],
    });
    await eventually("the agent's output", async () => {
      const output = await mcp.call("get_agent_output", { task_id, agent_id: one, tail: 5, include_metadata: true });
      expect(output).toMatchObject({ success: true, agent_id: one, session_status: "running" });
      return output.output === '{"type":"ready"}';
    });
    const printed = '{"type":"ready"}';
    for (const [format, response_format, output] of [
      ["text", "full", printed],
      ["jsonl", "recent", printed],
      ["parsed", "compact", printed],
    ])
      expect(await mcp.call("get_agent_output", { agent_id: one, format, response_format })).toMatchObject({
        ...{ success: true, format, response_format, output, summary: null, source: "jsonl_log" },
        metadata: { total_lines: 1, returned_lines: 1 },
      });
    expect(await mcp.call("get_agent_output", { agent_id: one, response_format: "summary" })).toMatchObject({
      success: true,
      output: "",
      summary: { lines: 1, complete: true, tools: {}, errors: [] },
    });
    expect(await mcp.call("get_agent_output", { agent_id: one, filter: "^(a+)+$" })).toMatchObject({ output: "" });
    expect(await mcp.call("verify_handles", { agent_id: one })).toMatchObject({ success: true });
    const killed = await mcp.call("kill_real_agent", { task_id, agent_id: one, reason: "enough" });
    expect(killed).toMatchObject({
      success: true,
      agent_id: one,
      tmux_session: `agent_${one}`,
      session_killed: true,
      reason: "enough",
      status: "terminated",
      cleanup: { files_failed: [] },
    });
    const { files_deleted } = killed.cleanup as { files_deleted: string[] };
    // The seed's Test 3, for an agent that reported progress, but no finding: prompt, log, progress, deploy log.
    expect(files_deleted).toHaveLength(4);
    expect(await mcp.call("get_real_task_status", { task_id })).toMatchObject({
      success: true,
      task_id,
      description: "build it",
      status: "INITIALIZED",
      workspace: `${supervisor.workspace}/${task_id}`,
      agents: { total_spawned: 4, active: 3, completed: 0, by_status: { running: 3, terminated: 1 } },
      hierarchy: { orchestrator: [one, two, three], [one]: [child.agent_id] },
      enhanced_progress: {
        recent_updates: [{ message: "on" }, { message: "looking" }],
        recent_findings: [{ message: "it leaks" }],
        total_progress_entries: 2,
        total_findings: 1,
      },
    });
    expect(await mcp.call("list_tasks")).toMatchObject({ success: true, count: 1, tasks: [{ task_id }] });
    expect(await mcp.call("collect_garbage")).toEqual({ success: true, removed: [], deferred: [], items: [] });
  });

  test("the five files of an agent that reported both ways are deleted by a kill", async () => {
    const task_id = await create();
    const agent_id = await deploy(task_id, "plain");
    await mcp.call("update_agent_progress", { task_id, agent_id, status: "working", message: "x" });
    await mcp.call("report_agent_finding", { task_id, agent_id, finding_type: "x", severity: "low", message: "x" });
    const { success, cleanup } = await mcp.call("kill_real_agent", { task_id, agent_id });
    expect(success).toBe(true);
    expect(cleanup).toMatchObject({ files_deleted: { length: 5 }, files_failed: { length: 0 } });
  });

  test("every mistake is an answer with success false, an error that says what to do, and a code", async () => {
    const task_id = await create();
    const other = await create();
    const agent_id = await deploy(task_id, "one");
    const no_task = "TASK-20250101-000000-00000000";
    const failing: [string, Record<string, unknown>, string, RegExp][] = [
      ["kill_real_agent", { task_id, agent_id: "nobody-000000-000000" }, "agent_not_found", /no agent nobody/],
      ["kill_real_agent", { task_id: no_task, agent_id }, "task_not_found", /no task/],
      ["kill_real_agent", { task_id: other, agent_id }, "agent_not_found", /belongs to another task/],
      ["kill_real_agent", { task_id, agentid: agent_id }, "invalid_request", /'agentid' \(did you mean 'agent_id'\?\)/],
      ["kill_real_agent", {}, "invalid_request", /agent_id is missing/],
      ["kill_real_agnt", {}, "not_found", /did you mean 'kill_real_agent'/],
      ["get_real_task_status", { task_id: no_task }, "task_not_found", /no task/],
      ["deploy_headless_agent", { task_id: no_task, prompt: "x", ...idle }, "task_not_found", /no task/],
      ["deploy_headless_agent", { task_id }, "invalid_request", /prompt is missing/],
      ["deploy_headless_agent", { prompt: "x", command: ["no-such-program"] }, "program_not_found", /no program/],
      // The seed's command line, which is not installed here: this is said before anything is made.
      ["deploy_headless_agent", { task_id, prompt: "x", env: { PATH: "/nowhere" } }, "program_not_found", /'claude'/],
      [
        "update_agent_progress",
        { task_id, agent_id, status: "working", message: "x", progress: 101 },
        "invalid_request",
        /progress/,
      ],
      ["get_agent_output", { agent_id, filter: "(" }, "invalid_request", /regular expression/],
      ["get_agent_output", { agent_id, format: "xml" }, "invalid_request", /format/],
    ];
    for (const [tool, args, code, error] of failing) {
      const answer = await mcp.call(tool, args);
      expect(answer, tool).toMatchObject({ success: false, code, error: expect.stringMatching(error) });
    }
    expect(await mcp.call("get_real_task_status", { task_id })).toMatchObject({
      agents: { total_spawned: 1, active: 1 },
    });
  });

  test("wait_for_agent answers that it goes on, and later how it ended", async () => {
    const agent_id = await deploy(await create(), "waits");
    expect(await mcp.call("wait_for_agent", { agent_id, timeout_ms: 1 })).toMatchObject({
      success: true,
      agent_id,
      ended: false,
      status: "running",
    });
    const waiting = mcp.call("wait_for_agent", { agent_id });
    await eventually("its output", async () => (await mcp.call("get_agent_output", { agent_id })).output !== "");
    await mcp.call("kill_real_agent", { agent_id, cleanup: "archive" });
    expect(await waiting).toMatchObject({ success: true, agent_id, ended: true, status: "terminated" });
    expect(await mcp.call("get_agent_output", { agent_id })).toMatchObject({
      session_status: "terminated",
      output: '{"type":"ready"}',
    });
  });

  test("get_agent_output is no longer than asked for: the newest whole lines", async () => {
    const agent_id = await deploy(await create(), "prints", { command: [fixture("prints-and-exits"), "100000"] });
    await mcp.call("wait_for_agent", { agent_id });
    const { output, truncated } = await mcp.call("get_agent_output", { agent_id, tail: 5000, max_bytes: 25 });
    expect({ output, truncated }).toEqual({ output: "000009998\n000009999", truncated: true });
  });

  test("send_input types into an agent's terminal", async () => {
    const agent_id = await deploy(await create(), "asks", {
      command: ["sh", "-c", "read a; echo got $a; sleep 1000"],
      mode: "interactive",
    });
    expect(await mcp.call("send_input", { agent_id, text: "hello" })).toEqual({ success: true, accepted: true });
    await eventually("the answer of the agent", async () =>
      String((await mcp.call("get_agent_output", { agent_id })).output).includes("got hello"),
    );
  });

  test("an agent gets the server's directory and environment, but nothing that makes it another agent", async () => {
    const agent_id = await deploy(await create(), "env", {
      command: ["sh", "-c", 'pwd; echo "$SECRET $ADDED $SUPERVISOR_AGENT_ID"'],
      env: { ADDED: "too", SECRET: "s3cret" },
      cleanup: "keep",
    });
    await mcp.call("wait_for_agent", { agent_id });
    expect((await mcp.call("get_agent_output", { agent_id })).output).toBe(
      `${supervisor.root}\ns3cret too ${agent_id}`,
    );
  });

  test("tasks, agents and logs are resources that can be listed, read and followed", async () => {
    const task_id = await create();
    const agent_id = await deploy(task_id, "res");
    const { resources } = await mcp.sdk.listResources();
    expect(resources.map((one) => one.uri)).toEqual([
      `supervisor://tasks/${task_id}`,
      `supervisor://agents/${agent_id}`,
    ]);
    const { resourceTemplates } = await mcp.sdk.listResourceTemplates();
    expect(resourceTemplates.map((one) => one.uriTemplate)).toEqual([
      "supervisor://tasks/{task_id}",
      "supervisor://agents/{agent_id}",
      "supervisor://agents/{agent_id}/log",
    ]);
    const read = async (uri: string) => (await mcp.sdk.readResource({ uri })).contents[0] as { text: string };
    expect(JSON.parse((await read(`supervisor://tasks/${task_id}`)).text)).toMatchObject({ task_id });
    expect(JSON.parse((await read(`supervisor://agents/${agent_id}`)).text)).toMatchObject({ id: agent_id });
    await eventually("the log", async () => (await read(`supervisor://agents/${agent_id}/log`)).text.includes("ready"));
    await expect(read("supervisor://agents/nobody")).rejects.toThrow(/no agent nobody/);
    await expect(read("supervisor://else")).rejects.toThrow(/no resource/);
    const updated = new Promise<string>((resolve) => {
      mcp.sdk.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => resolve(params.uri));
    });
    await mcp.sdk.subscribeResource({ uri: `supervisor://tasks/${task_id}` });
    await mcp.call("update_agent_progress", { agent_id, status: "working", message: "x" });
    expect(await updated).toBe(`supervisor://tasks/${task_id}`);
  });

  test("an agent's own configuration connects it as itself: it reports for itself alone, and what it deploys is its child", async () => {
    const task_id = await create();
    const other = await deploy(task_id, "other");
    const tells = { command: ["sh", "-c", 'echo "config: $SUPERVISOR_MCP_CONFIG"; exec sleep 1000'] };
    const agent_id = await deploy(task_id, "self", { ...tells, mcp: true });
    const path = `${supervisor.workspace}/${task_id}/agent_mcp_${agent_id}.json`;
    const plain = await deploy(task_id, "plain", tells);
    for (const [id, config] of [
      [agent_id, path],
      [plain, ""],
    ])
      await eventually(
        `${id} to tell of its configuration`,
        async () => (await mcp.call("get_agent_output", { agent_id: id })).output === `config: ${config}`,
      );
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { command, args } = JSON.parse(readFileSync(path, "utf8")).mcpServers.supervisor;
    expect(command).toBe(process.execPath);
    const itself = await McpClient.connect(supervisor, { args: args.slice(2) });
    try {
      const report = { status: "working", message: "me" };
      expect(await itself.call("update_agent_progress", report)).toMatchObject({ own_update: { agent_id } });
      expect(await itself.call("update_agent_progress", { ...report, agent_id: other })).toMatchObject({
        success: false,
        code: "not_the_reporter",
      });
      const child = { agent_type: "child", prompt: "x", parent: "orchestrator", ...idle };
      expect(await itself.call("deploy_headless_agent", child)).toMatchObject({ parent: agent_id, task_id, depth: 2 });
    } finally {
      await itself.close();
    }
    const { cleanup } = await mcp.call("kill_real_agent", { agent_id });
    expect((cleanup as { files_deleted: string[] }).files_deleted).toContain(path);
  });
});

describe("an MCP server without a supervisor", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
  });
  afterEach(async () => {
    await supervisor.cli(["stop", "--agents"]);
    await supervisor.dispose();
  });
  const daemon = () => JSON.parse(readFileSync(`${supervisor.workspace}/daemon.json`, "utf8"));

  test("starts one in a session that a person can look at; it outlives the server and ends without a trace", async () => {
    const mcp = await McpClient.connect(supervisor, { env: { SECRET: "s3cret" } });
    // Clients list by themselves when they start: that must not begin anything.
    expect((await mcp.sdk.listResources()).resources).toEqual([]);
    expect(readdirSync(supervisor.root)).toEqual([]);
    const { task_id } = await mcp.call("create_real_task", { description: "x" });
    const { pid, runtime_dir } = daemon();
    expect(readFileSync(`/proc/${pid}/environ`, "latin1")).not.toContain("s3cret");
    const tmux = `tmux -S ${runtime_dir}/t.sock`;
    expect((await supervisor.shell(`${tmux} list-sessions -F '#{session_name}'`)).stdout.split("\n")).toContain(
      "supervisor",
    );
    await eventually("the ready line in the session", async () =>
      (await supervisor.shell(`${tmux} capture-pane -p -J -t supervisor`)).stdout.includes("supervisor is ready for"),
    );
    await mcp.close();
    expect((await supervisor.cli(["task", "ls", "--json"])).stdout).toContain(task_id);
    expect((await supervisor.cli(["stop"])).code).toBe(0);
    await eventually("the daemon to be gone, and all it had", () => readdirSync(supervisor.root).join() === "ws");
  });

  test("starts one again when it died, and finds the agents it had", async () => {
    const mcp = await McpClient.connect(supervisor);
    const deployed = await mcp.call("deploy_headless_agent", { prompt: "x", command: [fixture("idles")] });
    const first = daemon().pid;
    await end_exactly(process_ref_of(first) as ProcessRef);
    expect(await mcp.call("wait_for_agent", { agent_id: deployed.agent_id, timeout_ms: 1 })).toMatchObject({
      ended: false,
      status: "running",
    });
    expect(daemon().pid).not.toBe(first);
    await mcp.close();
  });

  test("starts one also when tmux has not yet heard that the last one was killed, and still has its session", async () => {
    // The session goes when another one of its name is refused.
    const real = execFileSync("sh", ["-c", "command -v tmux"], { encoding: "utf8" }).trim();
    const bin = mkdtempSync(`${tmpdir()}/sv-bin-`);
    onTestFinished(() => rmSync(bin, { recursive: true }));
    const script = [
      "#!/bin/sh",
      `case " $* " in *" new-session "*" -s supervisor "*) ;; *) exec ${real} "$@" ;; esac`,
      `${real} "$@" && exit`,
      `${real} -S "$3" kill-session -t =supervisor`,
      "exit 1",
    ];
    writeFileSync(`${bin}/tmux`, script.join("\n"), { mode: 0o755 });
    const mcp = await McpClient.connect(supervisor, { env: { PATH: `${bin}:${process.env.PATH}` } });
    await mcp.call("deploy_headless_agent", { prompt: "x", command: [fixture("idles")] });
    const { pid, runtime_dir } = daemon();
    const own = `${real} -S ${runtime_dir}/t.sock`;
    process.kill(pid, "SIGKILL");
    await eventually(
      "the killed daemon's session to be gone",
      async () => (await supervisor.shell(`${own} has-session -t =supervisor`)).code !== 0,
    );
    expect(await supervisor.shell(`${own} new-session -d -s supervisor 'exec sleep 1000'`)).toMatchObject({ code: 0 });
    expect(await mcp.call("list_tasks")).toMatchObject({ count: 1 });
    expect(daemon().pid).not.toBe(pid);
    await mcp.close();
  });

  test("two servers that need one at the same time end up with one", async () => {
    const servers = await Promise.all([McpClient.connect(supervisor), McpClient.connect(supervisor)]);
    const made = await Promise.all(servers.map((one) => one.call("create_real_task", { description: "x" })));
    expect(made).toMatchObject([{ success: true }, { success: true }]);
    for (const one of servers) expect(await one.call("list_tasks")).toMatchObject({ count: 2 });
    await Promise.all(servers.map((one) => one.close()));
  });

  test("two servers on one workspace are told of the same agents, and two kills of one are one end", async () => {
    const [first, second] = await Promise.all([McpClient.connect(supervisor), McpClient.connect(supervisor)]);
    const { agent_id, task_id } = await first.call("deploy_headless_agent", {
      prompt: "x",
      command: [fixture("idles")],
    });
    const said = { agent_id, task_id, status: "working", message: "x" };
    const reports = await Promise.all(
      [first, second].flatMap((one) => Array.from({ length: 20 }, () => one.call("update_agent_progress", said))),
    );
    expect(reports.every(({ success }) => success)).toBe(true);
    expect(await second.call("get_real_task_status", { task_id })).toMatchObject({
      agents: { active: 1, agents_list: [{ id: agent_id }] },
      enhanced_progress: { total_progress_entries: 40 },
    });
    const kills = await Promise.all([first, second].map((one) => one.call("kill_real_agent", { agent_id })));
    expect(kills[0]).toMatchObject({ success: true, status: "terminated", session_killed: true });
    expect(kills[1]).toEqual(kills[0]);
    await Promise.all([first.close(), second.close()]);
  });

  test("does not start one with --no-start, and says so", async () => {
    const mcp = await McpClient.connect(supervisor, { args: ["--no-start"] });
    expect(await mcp.call("list_tasks")).toMatchObject({ success: false, code: "no_daemon" });
    expect(readdirSync(supervisor.root)).toEqual([]);
    await mcp.close();
  });

  test("says why the one it started could not start, and leaves nothing", async () => {
    // A PATH with tmux and env, but without lsof.
    await supervisor.shell('mkdir bin && for p in tmux env sh; do ln -s "$(command -v $p)" bin/; done');
    const mcp = await McpClient.connect(supervisor, { env: { PATH: `${supervisor.root}/bin` } });
    expect(await mcp.call("list_tasks")).toMatchObject({ success: false, code: "lsof_missing" });
    await mcp.close();
    expect(readdirSync(supervisor.root).sort()).toEqual(["bin", "ws"]);
  });
});
