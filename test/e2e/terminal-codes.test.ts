/** What others wrote (agents, their files, other programs' registries, a project's config) reaches a person's terminal as text, and is never obeyed. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { eventually, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";
import { expect_harmless, on_a_terminal } from "../support/terminal.ts";

/** Writes the clipboard, makes a link, rings, clears, goes back, hides, turns round; in 7 and in 8 bits. */
const POISON =
  "MARK\u001b]52;c;ZXZpbA==\u0007\u001b]8;;x:\u001b\\link\u001b]8;;\u001b\\\u001b[2J\u009b31m\u202eevil\u2066\u200b\b\b\u007f\u2028\u000eok\rover";
const TASK = "TASK-20251029-225319-45548b6a";
const HAS_SCRIPT = spawnSync("script", ["--version"]).status === 0;

let supervisor: TestSupervisor;
afterEach(() => supervisor.dispose());

const shown = (...args: string[]) =>
  on_a_terminal([SUPERVISOR, ...args], {
    env: { ...supervisor.env, SUPERVISOR_WORKSPACE: supervisor.workspace, TERM: "xterm" },
    cwd: supervisor.root,
  });

describe.skipIf(!HAS_SCRIPT)("on a terminal (needs script, of util-linux)", () => {
  test("nothing of an agent's output, command, directory, reports, task, reason or file holders is obeyed, in any command; pipes and --json are exact", async () => {
    supervisor = await TestSupervisor.start();
    const { client } = supervisor;
    const cwd = join(supervisor.root, POISON);
    mkdirSync(cwd);
    const task = await client.call("create_task", { body: { description: POISON, priority: "\u001b[7mP2" } });
    const agent = await supervisor.deploy({
      task_id: task.task_id,
      cwd,
      prompt: `${POISON}\n`,
      command: ["sh", "-c", "cat; echo ready; while :; do sleep 0.05; done", POISON],
    });
    await supervisor.printed(agent, "ready");
    const params = { agent: agent.id };
    await client.call("progress", { params, body: { status: POISON.slice(0, 50), message: POISON } });
    await client.call("finding", {
      params,
      body: { finding_type: POISON, severity: POISON.slice(0, 50), message: POISON, data: { [POISON]: POISON } },
    });
    const looks = [
      ["ps"],
      ["ps", "--json"],
      ["status", agent.id],
      ["status", agent.id, "--json"],
      ["events"],
      ["task", "ls"],
      ["task", "status", task.task_id],
      ["logs", agent.id],
      ["logs", agent.id, "--format", "parsed"],
      ["logs", agent.id, "--format", "jsonl"],
      ["logs", agent.id, "--response-format", "full"],
      ["findings", task.task_id],
      ["findings", task.task_id, "--json"],
    ];
    for (const look of looks) expect_harmless(await shown(...look), look.join(" "), "MARK");
    for (const look of [
      ["logs", agent.id, "--response-format", "summary"],
      ["verify"],
      ["gc"],
      ["attach", agent.id, "--json"],
      ["doctor"],
      ["profiles"],
    ])
      expect_harmless(await shown(...look), look.join(" "));
    // Whoever asks for it gets it raw; so does a pipe.
    expect(await shown("logs", agent.id, "--raw")).toContain("\u001b]52;c;ZXZpbA==\u0007");
    expect((await supervisor.cli(["logs", agent.id])).stdout).toBe(`${POISON}\nready\n`);
    const json = await supervisor.cli(["status", agent.id, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ cwd, message: POISON });
    expect(JSON.parse(await shown("status", agent.id, "--json"))).toMatchObject({ cwd, message: POISON });

    // A holder of the log whose program's name is poisoned, and the receipt that names it.
    const program = join(supervisor.root, "MARK\u001b[2J\u0007x");
    copyFileSync("/bin/sleep", program);
    const holder = supervisor.shell(`exec 9<'${agent.tracked_files.log_file}'; exec "$PWD"/MARK*x 1000`);
    const held = () => client.call("verify", { body: { agent: agent.id } });
    const pid = await eventually(
      "the holder to be seen",
      async () =>
        (await held()).files.flatMap((file) => file.holders).find((one) => one.command.startsWith("MARK"))?.pid,
    );
    expect_harmless(await shown("verify", agent.id), "verify with a holder", "MARK");
    expect_harmless(await shown("kill", agent.id, "--reason", POISON), "kill", "MARK");
    expect_harmless(await shown("status", agent.id), "status with a receipt", "MARK");
    expect_harmless(await shown("gc"), "gc with a holder", "MARK");
    process.kill(pid, "SIGKILL");
    await holder;
  });

  test("nor is anything in an error: of what was typed, a directory, a program, an agent, a file", async () => {
    supervisor = await TestSupervisor.start();
    const errors = [
      ["status", POISON],
      ["logs", POISON],
      ["task", "status", POISON],
      ["findings", POISON],
      ["deploy", "--type", POISON, "--", "true"],
      ["deploy", "--cwd", POISON, "--", "true"],
      ["deploy", "--profile", POISON],
      ["deploy", "--task", POISON, "--", "true"],
      ["deploy", "--env-file", POISON, "--", "true"],
      ["deploy", "--", POISON],
      ["deploy", POISON, `--${POISON}`],
      [POISON],
      ["ps", "--workspace", POISON],
      ["ps", "--workspace", POISON, "--json"],
    ];
    for (const error of errors) expect_harmless(await shown(...error), JSON.stringify(error), "supervisor: ");
  });

  test("nor is anything in a registry that another program wrote, a project's config file, or the daemon's own log of them", async () => {
    supervisor = await TestSupervisor.prepare();
    const dir = join(supervisor.workspace, TASK);
    mkdirSync(join(dir, "logs"), { recursive: true });
    const id = `x${POISON}-225319-aaaaaa`;
    writeFileSync(join(dir, "logs", `${id}.log`), "text\n");
    const strings = [
      "type",
      "tmux_session",
      "parent",
      "status",
      "started_at",
      "last_update",
      "prompt",
      "cwd",
      "message",
    ];
    const entry = {
      id,
      ...Object.fromEntries(strings.map((name) => [name, POISON])),
      command: [POISON],
      ended_at: POISON,
      stalled: POISON,
      notes: [POISON],
      tracked_files: { [POISON]: join(dir, "logs", `${id}.log`), other: `/${POISON}` },
    };
    writeFileSync(
      join(dir, "AGENT_REGISTRY.json"),
      JSON.stringify({
        task_id: TASK,
        task_description: POISON,
        status: POISON,
        agents: [entry, { id: POISON, depth: POISON }],
      }),
    );
    const profile = { command: "true", args: [POISON], description: POISON, install: POISON };
    writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ profiles: { own: profile } }));
    // On a terminal of its own, with its log on the same terminal.
    const daemon = shown("start", "--log-level", "debug");
    await eventually("the daemon", async () => (await supervisor.cli(["ps"])).code === 0);
    for (const look of [
      ["ps", "--all"],
      ["status", id],
      ["task", "ls"],
      ["task", "status", TASK],
      ["profiles"],
      ["profiles", "show", "own"],
    ])
      expect_harmless(await shown(...look), look.join(" "), "MARK");
    for (const look of [
      ["logs", id, "--response-format", "summary"],
      ["verify"],
      ["gc"],
      ["logs", id],
      ["events"],
      ["kill", id],
      ["attach", id],
    ])
      expect_harmless(await shown(...look), look.join(" "));
    await supervisor.cli(["stop"]);
    expect_harmless(await daemon, "the daemon's terminal", "MARK");
  });
});
