/** What the command says to a person who gets something slightly wrong. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

describe("the command", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("says that a killed agent had ended before, that --cleanup did not apply, and what its steps took, summed up; JSON stays the receipt", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const first = await supervisor.cli(["kill", agent.id, "--json"]);
    const again = await supervisor.cli(["kill", agent.id, "--cleanup", "keep"]);
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(
      /\n {2}note {7}it had ended before, and this is the receipt of that end; nothing was done now, and --cleanup keep did not apply\n$/,
    );
    expect((await supervisor.cli(["kill", agent.id])).stdout).toMatch(/nothing was done now\n$/);
    expect((await supervisor.cli(["kill", agent.id, "--json"])).stdout).toBe(first.stdout);
    const [, took] = /took {7}(.*) ms\n/.exec(again.stdout) ?? [];
    const steps = Object.fromEntries((took as string).split(", ").map((one) => one.split(" ")));
    const { total, ...parts } = steps;
    const sum = Object.values<string>(parts).reduce((all, ms) => all + Number(ms), 0);
    expect(Math.abs(Number(total) - sum)).toBeLessThan(0.05);
  });

  test("takes an agent by its whole type, though another's begins the same; two of a type stay ambiguous", async () => {
    const one = await supervisor.deploy({ command: [fixture("idles")], type: "claude" });
    await supervisor.deploy({ command: [fixture("idles")], type: "claude-review" });
    expect(JSON.parse((await supervisor.cli(["status", "claude", "--json"])).stdout).id).toBe(one.id);
    await supervisor.deploy({ command: [fixture("idles")], type: "claude" });
    expect((await supervisor.cli(["status", "claude"])).stderr).toMatch(/^supervisor: claude fits 3 agents/);
  });

  test("reads several env files, with export and without; a later one counts", async () => {
    writeFileSync(join(supervisor.root, "one"), "export A=1\nB=1\n");
    writeFileSync(join(supervisor.root, "two"), "B=2\nexport C=3\n");
    const command = ["sh", "-c", 'echo "$A $B $C"'];
    const args = ["deploy", "--wait", "--type", "vars", "--env-file=one", "--env-file=two", "--", ...command];
    expect((await supervisor.shell(`${SUPERVISOR} ${args.map((one) => `'${one}'`).join(" ")}`)).code).toBe(0);
    expect((await supervisor.cli(["logs", "vars"])).stdout).toBe("1 2 3\n");
  });

  test("records a status that looks like an end, and says that it ends nothing", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const report = (status: string) =>
      supervisor.cli(["progress", "--agent", agent.id, "--status", status, "--message", "m", "--json"]);
    const done = await report("done");
    expect(done.stderr).toMatch(/^supervisor: 'done' was recorded and ends nothing: .* report 'completed'\n$/);
    expect(JSON.parse(done.stdout).note).toContain("ends nothing");
    expect((await report("Failure")).stderr).toContain("report 'failed'");
    const working = await report("working");
    expect(working.stderr).toBe("");
    expect(JSON.parse(working.stdout)).not.toHaveProperty("note");
  });

  test("prints JSON lines for logs --json, whatever the format", async () => {
    const agent = await supervisor.deploy({ command: ["echo", "plain"] });
    await supervisor.client.call("wait", { params: { agent: agent.id } });
    for (const format of ["text", "jsonl", "parsed"])
      expect((await supervisor.cli(["logs", agent.id, "--json", "--format", format])).stdout).toBe(
        '{"type":"text","text":"plain"}\n',
      );
  });

  test.each([
    [["deploy", "--cpu-max", "0", "--", "true"], "supervisor: --cpu-max: must be at least 0.01"],
    [["deploy", "--task", "../..", "--", "true"], "supervisor: --task: must look like TASK-"],
    [["deploy", "--grace", "9999999999", "--", "true"], "supervisor: --grace: must be at most 3600000"],
    [
      ["deploy", "--env", `${"A".repeat(3)}=1`, "--priority", "-5000", "--", "true"],
      "--priority: must be at least -1000",
    ],
    [["deploy", "--", ""], "supervisor: COMMAND: must begin with a program"],
    [["logs", "x".repeat(101)], "supervisor: AGENT: must have at most 100 characters"],
    [["logs", "x", "--lines", "999999", "--max-bytes", "64K"], "supervisor: --lines: must be at most 100000"],
    [["logs", "x", "--max-bytes", "0"], "supervisor: --max-bytes: must be at least 1"],
    [["task", "create", "x", "--max-depth", "0"], "supervisor: --max-depth: must be at least 1"],
    [["findings", "TASK-20261124-030219-1a593c46", "--since", "noon"], "must be a date and time, such as"],
    [["deploy", "ls", "-la"], "unknown option '-la'; the agent's command belongs after '--': supervisor deploy"],
    [["kill", "--all", "--task", "x"], "give one of: ids, --task ID, --all"],
    // An unset variable of a script: not all agents, and no task without a name.
    [["ps", "--task", ""], "supervisor: --task: must not be empty"],
    [["kill", "--task", ""], "supervisor: --task: must not be empty"],
    [["kill", ""], "supervisor: AGENT: must not be empty"],
    [["task", "status", ""], "supervisor: TASK: must not be empty"],
    [["findings", ""], "supervisor: say which task"],
    [["findings", "TASK-20261124-030219-1a593c46", "--agent", ""], "supervisor: --agent: must not be empty"],
    [["findings", "TASK-20261124-030219-1a593c46", "--type", ""], "supervisor: --type: must not be empty"],
    [["findings", "TASK-20261124-030219-1a593c46", "--severity", ""], "supervisor: --severity: must not be empty"],
    [["start", "--workspace", ""], "--workspace must not be empty; give a directory, or leave it out"],
    [["bogus"], "supervisor: unknown command 'bogus'; see 'supervisor --help'\n"],
    [["show"], "supervisor: unknown command 'show'; see 'supervisor --help'\n"],
    [["strat"], "supervisor: unknown command 'strat' (Did you mean start?)\n"],
    [["task", "bogus"], "supervisor: unknown command 'bogus'; see 'supervisor task --help'\n"],
    [["ps", "--jsn"], "supervisor: unknown option '--jsn' (Did you mean --json?)\n"],
    [["ps", "--bogus"], "supervisor: unknown option '--bogus'; see 'supervisor ps --help'\n"],
    [["ps", "--workspace="], "--workspace must not be empty; give a directory, or leave it out"],
  ])("answers %j in plain words", async (args, words) => {
    const ran = await supervisor.cli(args);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(words);
    expect(ran.stderr.split("\n")).toHaveLength(2);
  });

  test("says of an agent that has ended how to see its end, when something is typed into it", async () => {
    const { id } = await supervisor.deploy({ command: ["true"] });
    await supervisor.cli(["wait", id]);
    expect(await supervisor.cli(["send", id, "hello"])).toMatchObject({
      code: 1,
      stderr: `supervisor: ${id} has ended (completed); 'supervisor status ${id} --workspace ${supervisor.workspace}' shows how\n`,
    });
  });

  test("names the workspace when its supervisor has gone", async () => {
    await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.signal_daemon("SIGKILL");
    expect(await supervisor.cli(["ps"])).toMatchObject({
      code: 3,
      stderr: `supervisor: no supervisor is running for ${supervisor.workspace}; start one with 'supervisor start --workspace ${supervisor.workspace}'\n`,
    });
    await supervisor.boot();
  });

  test("has defaults in its help where there are values, and none of flags, which are off", async () => {
    const commands = ["", "start", "deploy", "ps", "logs", "kill", "gc", "events", "metrics", "stop"];
    const texts = await Promise.all(
      commands.map(async (name) => (await supervisor.cli([...name.split(" ").filter(Boolean), "--help"])).stdout),
    );
    for (const text of texts) expect(text).toMatch(/^Usage: /);
    expect(texts.join("").match(/.*default: (true|false).*/g)).toBeNull();
    expect(texts.join("")).toContain('(default: "killed on request")');
  });

  test("knows its version", async () => {
    expect(await supervisor.cli(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test("keeps its workspace out of the user's repository", () => {
    expect(readFileSync(join(supervisor.workspace, ".gitignore"), "utf8")).toBe("*\n");
  });
});

describe("a hint that is copied is for the same supervisor", () => {
  test.each([
    ["elsewhere", "--workspace", "its own", " --workspace 'ROOT/its own'"],
    ["elsewhere", "SUPERVISOR_WORKSPACE", "ws", " --workspace ROOT/ws"],
    ["where it is by default", "nothing", ".agent-workspace", ""],
  ])("with a workspace %s, by %s", async (_where, by, name, named) => {
    const prepared = await TestSupervisor.prepare();
    const { root } = prepared;
    const workspace = join(root, name);
    const option = named.replace("ROOT", root);
    const more = by === "--workspace" ? ["--workspace", workspace] : [];
    const env = { ...prepared.env, SUPERVISOR_WORKSPACE: by === "SUPERVISOR_WORKSPACE" ? workspace : "" };
    const none = await prepared.cli(["ps", ...more], { env });
    expect(none.stderr).toBe(
      `supervisor: no supervisor is running for ${workspace}; start one with 'supervisor start${option}'\n`,
    );
    const daemon = spawn(process.execPath, [SUPERVISOR, "start", ...more], { env, cwd: root });
    const said: string[] = [];
    const lines = createInterface({ input: daemon.stdout }).on("line", (line) => said.push(line));
    const ended = once(daemon, "exit");
    daemon.stderr.resume();
    await once(lines, "line");
    expect(said[0]).toMatch(/^supervisor is ready for /);
    const [, first] = /terminal: (.*)$/.exec(said[0] as string) ?? [];
    expect(first).toBe(`supervisor logs${option} -f $(supervisor deploy${option} --prompt "hello" -- cat)`);
    const copied = (line: string) =>
      prepared.shell(
        `supervisor() { ${process.execPath} ${SUPERVISOR} "$@"; }; unset SUPERVISOR_WORKSPACE
        ${line}`,
      );
    // And again: the second is another agent of the same name.
    for (let n = 0; n < 2; n++)
      expect(await copied(first as string)).toMatchObject({ code: 0, stdout: "hello", stderr: "" });
    const unknown = await prepared.cli(["logs", "nobody", ...more], { env });
    expect(unknown.stderr).toBe(`supervisor: no agent nobody; 'supervisor ps --all${option}' shows them\n`);
    const [, all] = /; '(.*)' shows them/.exec(unknown.stderr) ?? [];
    expect(await copied(all as string)).toMatchObject({ code: 0, stdout: expect.stringMatching(/(agent-.*\n){2}/) });
    const no_task = await prepared.cli(["findings", ...more], { env });
    expect(no_task.stderr).toBe(`supervisor: say which task ('supervisor task ls${option}' shows them)\n`);
    const [, tasks] = /\('(.*)' shows them/.exec(no_task.stderr) ?? [];
    expect(await copied(tasks as string)).toMatchObject({ code: 0, stdout: expect.stringContaining("TASK-") });
    const second = await prepared.cli(["start", ...more], { env });
    const [, stop] = /or stop it with '(.*)'\n$/.exec(second.stderr) ?? [];
    expect(await copied(stop as string)).toMatchObject({ code: 0, stderr: "" });
    await ended;
    await prepared.dispose();
  });
});

test("doctor says how to get leases back where their package is not installed", async () => {
  const supervisor = await TestSupervisor.prepare();
  const clone = dirname(dirname(SUPERVISOR));
  await cp(join(clone, "dist"), join(supervisor.root, "clone/dist"), { recursive: true });
  const packages = join(supervisor.root, "clone/node_modules");
  await mkdir(packages);
  await symlink(join(clone, "package.json"), join(supervisor.root, "clone/package.json"));
  for (const name of await readdir(join(clone, "node_modules")))
    if (name !== "koffi") await symlink(join(clone, "node_modules", name), join(packages, name));
  const { code, stdout } = await supervisor.shell(
    `${process.execPath} ${join(supervisor.root, "clone/dist/supervisor.js")} doctor`,
  );
  expect(code).toBe(0);
  expect(stdout).toContain("without leases, which takes longer: the optional package koffi is not installed");
  expect(stdout).toContain("goes unseen");
  expect(stdout).toContain("'npm install --include=optional'");
  await supervisor.dispose();
});
