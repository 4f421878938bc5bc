/** The tests and the success metrics of the document this project grew from, with its own shell patterns. */
import { mkdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

describe("the seed's", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());
  const out = async (script: string) => (await supervisor.shell(script)).stdout.trim();
  /** The seed's patterns begin at `.agent-workspace`; here it is `ws`. */
  const deployed = async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")], type: "builder", prompt: "do it" });
    await supervisor.printed(agent, "ready");
    return agent;
  };

  test("test 1: the files of a killed agent are gone", async () => {
    const agent = await deployed();
    expect(await out("ls ws/TASK-*/agent_prompt_*.txt")).toContain(agent.id);
    expect((await supervisor.cli(["kill", agent.id])).code).toBe(0);
    expect(await out("ls ws/TASK-*/agent_prompt_*.txt 2>/dev/null")).toBe("");
  });

  test("test 2: all five tracked files stand in the registry", async () => {
    await deployed();
    const paths = await out(
      `jq -r '.agents[] | select(.status == "running") | .tracked_files[]' ws/TASK-*/AGENT_REGISTRY.json`,
    );
    expect(paths.split("\n")).toHaveLength(5);
  });

  test("test 3: after reports of both kinds, a kill deletes five files and fails on none", async () => {
    const agent = await deployed();
    expect(
      (
        await supervisor.cli([
          "progress",
          "--agent",
          agent.id,
          "--status",
          "working",
          "--message",
          "half",
          "--progress",
          "50",
        ])
      ).code,
    ).toBe(0);
    expect(
      (
        await supervisor.cli([
          "finding",
          "--agent",
          agent.id,
          "--type",
          "bug",
          "--severity",
          "high",
          "--message",
          "found",
        ])
      ).code,
    ).toBe(0);
    const { stdout, code } = await supervisor.cli(["kill", agent.id, "--reason", "test cleanup", "--json"]);
    const result = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(result).toMatchObject({
      success: true,
      agent_id: agent.id,
      tmux_session: `agent_${agent.id}`,
      session_killed: true,
      reason: "test cleanup",
      status: "terminated",
    });
    expect(result.cleanup.files_deleted).toHaveLength(5);
    expect(result.cleanup.files_failed).toHaveLength(0);
  });

  test("test 4: lsof shows the log's holder before, and nothing after", async () => {
    const agent = await deployed();
    const holders = `lsof 2>/dev/null | grep ${agent.id}_stream.jsonl`;
    expect(await out(holders)).toMatch(/node/);
    await supervisor.cli(["kill", agent.id]);
    expect(await out(holders)).toBe("");
  });

  test("four success metrics hold: files = running agents, disk use does not grow, registries are complete, no failures to delete", async () => {
    const agents = await Promise.all([1, 2, 3].map(deployed));
    const used = () => out("find ws -type f -not -name '*REGISTRY*' | wc -l").then(Number);
    const before = await used();
    for (let round = 0; round < 3; round++) {
      const more = await deployed();
      await supervisor.cli(["kill", more.id]);
    }
    expect(Number(await out('find ws -name "agent_prompt_*.txt" | wc -l'))).toBe(agents.length);
    expect(await used()).toBe(before);
    expect(
      await out(`jq '.agents[] | select(.status == "running") | has("tracked_files")' ws/TASK-*/AGENT_REGISTRY.json`),
    ).toBe("true\ntrue\ntrue");
    expect(
      await out(
        `jq '[.agents[].receipt | select(. != null) | .cleanup.files_failed[]] | length' ws/TASK-*/AGENT_REGISTRY.json`,
      ),
    ).toBe("0");
  });
});

test("an agent in a registry of the seed's own server can be listed and killed; its session is left to its own tmux", async () => {
  const supervisor = await TestSupervisor.prepare();
  const dir = `${supervisor.workspace}/TASK-20251029-225319-45548b6a`;
  mkdirSync(`${dir}/logs`, { recursive: true });
  const log = `${dir}/logs/old-225319-aaaaaa_stream.jsonl`;
  writeFileSync(log, "{}\n");
  writeFileSync(
    `${dir}/AGENT_REGISTRY.json`,
    JSON.stringify({
      task_id: "TASK-20251029-225319-45548b6a",
      agents: [
        { id: "bare-225319-bbbbbb", status: "running", tmux_session: "agent_bare" },
        {
          id: "old-225319-aaaaaa",
          status: "working",
          tmux_session: "agent_old",
          tracked_files: { log_file: log, deploy_log: "/etc/hostname" },
        },
      ],
    }),
  );
  await supervisor.boot();
  expect((await supervisor.cli(["ps"])).stdout).toMatch(/bare-225319-bbbbbb[\s\S]*old-225319-aaaaaa/);
  const bare = JSON.parse((await supervisor.cli(["kill", "bare", "--json"])).stdout);
  expect(bare).toMatchObject({ success: true, session_killed: false, cleanup: { files_deleted: [] } });
  const old = JSON.parse((await supervisor.cli(["kill", "old", "--json"])).stdout);
  expect(old.cleanup.files_deleted).toEqual([log]);
  expect(old.cleanup.files_failed).toMatchObject([
    { path: "/etc/hostname", error: expect.stringContaining("outside") },
  ]);
  await supervisor.dispose();
});
