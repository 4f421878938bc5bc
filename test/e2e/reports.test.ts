/** What agents report: kept in order, answered with what the others do, found again. */
import { appendFileSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { eventually, fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

describe("reports", () => {
  let supervisor: TestSupervisor;
  let task_id: string;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
    task_id = (await supervisor.client.call("create_task", { body: { description: "a task with reports" } })).task_id;
  });
  afterEach(() => supervisor.dispose());

  const agent_of = (type: string) => supervisor.deploy({ type, task_id, command: [fixture("idles")] });
  const progress = (agent: AgentRecord, message: string, percent = 0) =>
    supervisor.client.call("progress", {
      params: { agent: agent.id },
      body: { status: "working", message, progress: percent },
    });
  const finding = (agent: AgentRecord, message: string, more: object = {}) =>
    supervisor.client.call("finding", {
      params: { agent: agent.id },
      body: { finding_type: "issue", severity: "low", message, ...more },
    });
  const lines = (path: string | undefined) =>
    readFileSync(path as string, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));

  test("a thousand reports of five agents at once are all there, in each agent's order", async () => {
    const agents = await Promise.all([0, 1, 2, 3, 4].map((n) => agent_of(`r${n}`)));
    await Promise.all(
      agents.map(async (agent) => {
        for (let n = 0; n < 100; n++) {
          await progress(agent, `step ${n}`, n);
          await finding(agent, `finding ${n}`);
        }
      }),
    );
    const hundred = Array.from({ length: 100 }, (_, n) => n);
    for (const agent of agents) {
      expect(lines(agent.tracked_files.progress_file).map((one) => one.message)).toEqual(
        hundred.map((n) => `step ${n}`),
      );
      expect(lines(agent.tracked_files.findings_file).map((one) => one.message)).toEqual(
        hundred.map((n) => `finding ${n}`),
      );
    }
    await eventually("the registry to have every agent's last progress", () => {
      const registry = JSON.parse(readFileSync(`${supervisor.workspace}/${task_id}/AGENT_REGISTRY.json`, "utf8"));
      return registry.agents.every((one: AgentRecord) => one.progress === 99 && one.message === "step 99");
    });
  });

  test("an answer has the latest three reports of the others, also after a restart of the supervisor", async () => {
    const [a, b, c] = await Promise.all([agent_of("a"), agent_of("b"), agent_of("c")]);
    for (const n of [1, 2, 3, 4]) await progress(b, `b ${n}`);
    await finding(c, "c found", { data: { where: "here" } });
    for (const n of [1, 2, 3, 4, 5, 6, 7]) await progress(a, `a ${n}`);
    const check = async (message: string) => {
      const { own_update, coordination_info } = await progress(a, message, 40);
      expect(own_update).toMatchObject({ agent_id: a.id, status: "working", message, progress: 40 });
      expect(coordination_info).toMatchObject({
        success: true,
        task_id,
        agent_counts: { total_spawned: 3, active: 3, completed: 0 },
      });
      expect(coordination_info.recent_progress.map((one) => one.message)).toEqual(["b 4", "b 3", "b 2"]);
      expect(coordination_info.recent_findings).toMatchObject([{ agent_id: c.id, message: "c found" }]);
    };
    await check("before");
    await supervisor.signal_daemon("SIGKILL");
    await supervisor.boot();
    await check("after");
  });

  test("an agent reports for itself alone; a person may report for any", async () => {
    const [a, b] = await Promise.all([agent_of("a"), agent_of("b")]);
    const as_a = { env: { SUPERVISOR_AGENT_ID: a.id } };
    const report = ["progress", "--status", "working", "--message", "x", "--json"];
    expect(await supervisor.cli([...report, "--agent", b.id], as_a)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('"code":"not_the_reporter"'),
    });
    expect((await supervisor.cli(report, as_a)).code).toBe(0);
    expect((await supervisor.cli([...report, "--agent", b.id])).code).toBe(0);
    expect(lines(b.tracked_files.progress_file)).toHaveLength(1);
  });

  test("findings are found by agent, type, severity and time, the newest first, also those of an agent that ended", async () => {
    const [a, b] = await Promise.all([agent_of("a"), agent_of("b")]);
    const find = async (query: Record<string, string | number>) =>
      (await supervisor.client.call("findings", { params: { task: task_id }, query })).findings.map(
        (one) => one.message,
      );
    const first = await finding(a, "one", { data: { file: "x.ts" } });
    // The next millisecond, so that `since` can tell them apart.
    await eventually("the clock to move on", () => new Date().toISOString() > first.own_finding.timestamp);
    await finding(b, "two", { severity: "high" });
    await finding(a, "three", { finding_type: "insight" });
    expect(await find({})).toEqual(["three", "two", "one"]);
    expect(await find({ agent: a.id })).toEqual(["three", "one"]);
    expect(await find({ severity: "high" })).toEqual(["two"]);
    expect(await find({ finding_type: "insight" })).toEqual(["three"]);
    expect(await find({ since: first.own_finding.timestamp })).toEqual(["three", "two"]);
    expect(await find({ limit: 1 })).toEqual(["three"]);
    await supervisor.client.call("kill", { params: { agent: a.id }, body: { cleanup: "archive" } });
    expect(await find({})).toEqual(["three", "two", "one"]);
    const shown = await supervisor.cli(["findings", task_id, "--type", "issue"]);
    expect(shown.stdout).toMatch(/two[\s\S]*one/);
    expect((await supervisor.cli(["findings", "TASK-20250101-000000-00000000"])).code).toBe(4);
  });

  test("a finding of a megabyte is kept whole, and cut in an answer that has no room for it", async () => {
    const agent = await agent_of("big");
    const message = "é".repeat(1_000_000);
    await finding(agent, message, { data: { deep: { er: 1 } } });
    await finding(agent, "small");
    expect(lines(agent.tracked_files.findings_file)[0]).toMatchObject({ message, data: { deep: { er: 1 } } });
    const ask = (max_bytes: number) =>
      supervisor.client.call("findings", { params: { task: task_id }, query: { max_bytes } });
    expect((await ask(10_000_000)).findings[1]?.message).toBe(message);
    expect((await ask(10_000)).findings).toMatchObject([
      { message: "small" },
      { truncated: true, data: {}, message: "é".repeat(500) },
    ]);
  });

  test("what is no report is refused with the reason, and nothing is written", async () => {
    const agent = await agent_of("bad");
    for (const levels of [33, 100_000]) {
      const data = `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
      const body = `{"finding_type":"issue","severity":"low","message":"x","data":${data}}`;
      const post = `curl -s --unix-socket ${supervisor.socket} -H 'content-type: application/json' -d @- http://x/v1/agents/${agent.id}/findings`;
      await writeFile(`${supervisor.root}/body`, body);
      expect((await supervisor.shell(`${post} < body`)).stdout).toContain("data: is nested deeper than 32 levels");
    }
    let deep: Record<string, unknown> = {};
    for (let n = 0; n < 100_000; n++) deep = { deep };
    await expect(finding(agent, "x", { data: deep })).rejects.toThrow(/cannot be sent as JSON/);
    await expect(finding(agent, "x", { data: { text: "x".repeat(1_000_000) } })).rejects.toThrow(/longer than 1000000/);
    await expect(finding(agent, "x".repeat(1_000_001))).rejects.toThrow(/message/);
    await expect(progress(agent, "x", 101)).rejects.toThrow(/progress/);
    await expect(progress(agent, "x", -1)).rejects.toThrow(/progress/);
    const endless = `curl -s --unix-socket ${supervisor.socket} -H 'content-type: application/json' http://x/v1/agents/${agent.id}/progress`;
    expect((await supervisor.shell(`${endless} -d '{"status":"w","message":"m","progress":1e400}'`)).stdout).toContain(
      "progress: must be a finite number",
    );
    expect((await supervisor.shell(`ls ws/${task_id}/progress ws/${task_id}/findings`)).stdout).not.toContain("jsonl");
  });

  test("an agent finds in its environment what it needs to report by curl and by the command, and its own word ends it", async () => {
    const script = `
      set -e
      post() { curl -sf --unix-socket "$SUPERVISOR_SOCKET" -H 'content-type: application/json' -d "$2" "http://x/v1/agents/$SUPERVISOR_AGENT_ID/$1" >/dev/null; }
      post progress '{"status":"working","message":"by curl","progress":40}'
      '${process.execPath}' '${SUPERVISOR}' finding --type issue --severity high --message "by the command, for $SUPERVISOR_TASK_ID" --data '{"line":3}' >/dev/null
      test "$(cat "$SUPERVISOR_PROMPT_FILE")" = "my prompt"
      test -z "$SUPERVISOR_MCP_CONFIG"
      post progress '{"status":"completed","message":"done","progress":100}'
      echo reported`;
    const agent = await supervisor.deploy({
      command: ["sh", "-c", script],
      prompt: "my prompt",
      task_id,
      cleanup: "archive",
    });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    const log = await supervisor.client.call("get_output", { params: { agent: agent.id } });
    expect(log.lines).toEqual(["reported"]);
    expect(receipt).toMatchObject({ status: "completed", cause: "reported_completed", success: true });
    // Prompt, log, progress, findings and deploy log: the seed's five.
    expect(receipt.cleanup.files_archived).toHaveLength(5);
    const { findings } = await supervisor.client.call("findings", { params: { task: task_id }, query: {} });
    expect(findings).toMatchObject([
      { agent_id: agent.id, message: `by the command, for ${task_id}`, data: { line: 3 } },
    ]);
  });

  test("a half line that a crash left is not glued to the next report", async () => {
    const agent = await agent_of("torn");
    appendFileSync(agent.tracked_files.findings_file as string, '{"timestamp":"2025');
    await finding(agent, "whole");
    const found = await supervisor.client.call("findings", { params: { task: task_id } });
    expect(found).toMatchObject({ total: 1, unreadable: 1, findings: [{ message: "whole" }] });
  });
});
