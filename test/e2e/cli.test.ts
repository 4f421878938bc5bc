import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fake_lsof } from "../support/fake-lsof.ts";
import { eventually, fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

describe("the command", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("deploy gives the agent the caller's directory and environment, and --wait its exit code", async () => {
    const ran = await supervisor.cli(
      [
        "deploy",
        "--env",
        "TOKEN",
        "--env",
        "PLAIN=1",
        "--wait",
        "--json",
        "--cleanup",
        "keep",
        "--",
        "sh",
        "-c",
        'echo "$PWD $TOKEN $PLAIN $SUPERVISOR_TASK_ID"; exit 9',
      ],
      { env: { TOKEN: "s3cret", "odd-name": "x" } },
    );
    expect(ran.code).toBe(9);
    const { agent_id, cleanup } = JSON.parse(ran.stdout);
    const log = readFileSync(
      cleanup.files_kept.find((path: string) => path.endsWith(".jsonl")),
      "utf8",
    );
    expect(log).toMatch(new RegExp(`^${supervisor.root} s3cret 1 TASK-`));
    // A secret in the environment reaches no file.
    expect((await supervisor.shell(`grep -rl s3cret ws --exclude='${agent_id}_stream.jsonl'`)).stdout).toBe("");
  });

  test("--clean-env starts from nothing", async () => {
    const ran = await supervisor.cli(
      ["deploy", "--clean-env", "--env", "TEST_MARK", "--wait", "--cleanup", "keep", "--json", "--", "/usr/bin/env"],
      { env: { SECRET: "x" } },
    );
    const log = readFileSync(
      JSON.parse(ran.stdout).cleanup.files_kept.find((path: string) => path.endsWith(".jsonl")),
      "utf8",
    );
    expect(
      log
        .split("\n")
        .map((line) => line.split("=")[0])
        .filter((name) => name && !name.startsWith("SUPERVISOR_"))
        .sort(),
    ).toEqual(["PWD", "TERM", "TEST_MARK"]);
  });

  test("a prompt on stdin is the agent's stdin, and its prompt file", async () => {
    const ran = await supervisor.cli(
      ["deploy", "--prompt-file", "-", "--wait", "--", "sh", "-c", 'cmp - "$SUPERVISOR_PROMPT_FILE"'],
      { input: "the prompt" },
    );
    expect(ran.code).toBe(0);
  });

  test("logs shows the end, a filter's lines, JSON lines, and follows until the agent ends", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", "seq 1 1000; read x </dev/tty; echo last"] });
    await supervisor.printed(agent, "1000\n");
    expect((await supervisor.cli(["logs", agent.id, "-n", "2"])).stdout).toBe("999\n1000\n");
    expect((await supervisor.cli(["logs", agent.id, "--filter", "^99.$", "-n", "3"])).stdout).toBe("997\n998\n999\n");
    expect((await supervisor.cli(["logs", agent.id, "-n", "1", "--format", "jsonl"])).stdout).toBe(
      '{"type":"text","text":"1000"}\n',
    );
    const follower = supervisor.cli(["logs", agent.id, "-f", "-n", "1"]);
    await eventually("the follower to hold the log", async () =>
      (await supervisor.client.call("verify", { body: { agent: agent.id } })).files.some((file) =>
        file.holders.some((one) => one.access === "read" && one.whose === "supervisor"),
      ),
    );
    await supervisor.cli(["send", agent.id, ""]);
    expect((await follower).stdout).toBe("1000\nlast\n");
    // The follower's own handle did not defer anything.
    expect((await supervisor.client.call("wait", { params: { agent: agent.id } })).cleanup.handles).toBe("clear");
    expect((await supervisor.cli(["logs", agent.id, "-n", "1"])).stdout).toBe("last\n");
  });

  test("a person's terminal gets no control codes of an agent, unless --raw", async () => {
    const agent = await supervisor.deploy({ command: ["sh", "-c", "printf '\\033[31mred\\007\\n'; exec sleep 1000"] });
    await supervisor.printed(agent, "red");
    const on_a_terminal = (args: string) =>
      supervisor
        .shell(`script -qec "${process.execPath} ${SUPERVISOR} logs ${agent.id} ${args}" /dev/null`)
        .then((ran) => ran.stdout);
    expect(await on_a_terminal("")).toBe("^[[31mred^G\r\n");
    expect(await on_a_terminal("--raw")).toBe("\x1b[31mred\x07\r\n");
  });

  test("attach shows the live agent and typing reaches it", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", 'read -r line </dev/tty; echo "typed $line"; exec sleep 1000'],
      mode: "interactive",
    });
    const { command } = JSON.parse((await supervisor.cli(["attach", agent.id, "--json"])).stdout);
    const session = `${command.at(-1)}:`;
    await supervisor.shell(`${command.slice(0, 4).join(" ")} send-keys -t '${session}' hello Enter`);
    await supervisor.printed(agent, "typed hello");
    await eventually("the pane to show it", async () =>
      (await supervisor.shell(`${command.slice(0, 4).join(" ")} capture-pane -p -t '${session}'`)).stdout.includes(
        "typed hello",
      ),
    );
  });

  test("kill of several ends those that are known, once each, and tells of each that is not", async () => {
    const first = await supervisor.deploy({ command: [fixture("idles")], type: "first" });
    const second = await supervisor.deploy({ command: [fixture("idles")], type: "second" });
    const ran = await supervisor.cli(["kill", "first", "nobody", first.id, "--json"]);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      success: false,
      receipts: [{ agent_id: first.id, status: "terminated", success: true }],
      errors: [{ agent: "nobody", code: "agent_not_found", error: expect.stringContaining("no agent nobody") }],
    });
    expect(ran).toMatchObject({
      code: 4,
      stderr: `supervisor: no agent nobody; 'supervisor ps --all --workspace ${supervisor.workspace}' shows them\n`,
    });
    const text = await supervisor.cli(["kill", "nobody", second.id]);
    expect(text).toMatchObject({ code: 4, stderr: ran.stderr });
    expect(text.stdout.split("\n")[0]).toMatch(/^second-\S+ +terminated/);
    const none = await supervisor.cli(["kill", "nobody", "nothing"]);
    expect(none).toMatchObject({ code: 4, stdout: "", stderr: expect.stringMatching(/nobody.*\n.*nothing.*\n$/) });
    await supervisor.signal_daemon("SIGTERM");
    const asleep = await supervisor.cli(["kill", "first", "second"]);
    expect(asleep).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/^supervisor: no supervisor[^\n]*\n$/),
    });
    await supervisor.boot();
  });

  test("tasks group agents; kill --task ends theirs and no others; exit codes are those of the contract", async () => {
    const task = (await supervisor.cli(["task", "create", "a task"])).stdout.trim();
    const inside = (await supervisor.cli(["deploy", "--task", task, "--", fixture("idles")])).stdout.trim();
    const outside = (await supervisor.cli(["deploy", "--", fixture("idles")])).stdout.trim();
    expect((await supervisor.cli(["task", "ls"])).stdout).toContain(task);
    const killed = JSON.parse((await supervisor.cli(["kill", "--task", task, "--json"])).stdout);
    expect(killed.receipts.map((one: { agent_id: string }) => one.agent_id)).toEqual([inside]);
    expect((await supervisor.cli(["ps"])).stdout).toContain(outside);
    expect((await supervisor.cli(["status", inside])).stdout).toMatch(/terminated[\s\S]*handles {4}clear/);
    expect((await supervisor.cli(["wait", outside, "--timeout", "50"])).code).toBe(1);
    expect((await supervisor.cli(["doctor"])).code).toBe(0);
    expect((await supervisor.cli(["events"])).stdout).toContain('"agent_ended"');
    expect(
      (
        await supervisor.shell(
          `supervisor() { ${process.execPath} ${SUPERVISOR} "$@"; }; source <(supervisor completion bash); COMP_WORDS=(supervisor dep); COMP_CWORD=1; _supervisor; echo "\${COMPREPLY[@]}"`,
        )
      ).stdout,
    ).toBe("deploy\n");
    expect((await supervisor.cli(["stop", "--agents"])).stdout).toContain("(1 ended)");
    await eventually("the daemon to be gone", () => !existsSync(supervisor.socket));
    expect((await supervisor.cli(["ps"])).code).toBe(3);
    supervisor.forget_daemon();
  });
});

describe("bad input", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test.each([
    ["a program that is not there", ["deploy", "--", "no-such-program"], 2, /no program 'no-such-program' on the PATH/],
    ["a directory that is not there", ["deploy", "--cwd", "/nowhere", "--", "true"], 2, /\/nowhere is not a directory/],
    [
      "a directory that cannot be looked at",
      ["deploy", "--cwd", `/${"x".repeat(300)}`, "--", "true"],
      2,
      /x cannot be looked at \(.*ENAMETOOLONG.*\); give the agent a directory/,
    ],
    [
      "a hostile type",
      ["deploy", "--type", "../../x", "--", "true"],
      2,
      /^supervisor: --type: must be 1 to 64 letters/,
    ],
    ["a hostile task id", ["deploy", "--task", "../..", "--", "true"], 2, /^supervisor: --task: must look like/],
    [
      "a task that is not there",
      ["deploy", "--task", "TASK-20200101-000000-00000000", "--", "true"],
      4,
      /no task TASK-2020/,
    ],
    ["a parent that is not there", ["deploy", "--parent", "nobody", "--", "true"], 4, /no agent nobody/],
    ["no command", ["deploy"], 2, /give the agent's command after --, or a profile/],
    ["a variable to pass on that is not there", ["deploy", "--env", "NOT_SET", "--", "true"], 2, /no such variable/],
    ["an unknown policy", ["kill", "--all", "--cleanup", "burn"], 2, /Allowed choices/],
    ["a grace that is no number", ["deploy", "--grace", "soon", "--", "true"], 2, /whole number/],
    ["an unknown agent", ["kill", "nobody"], 4, /no agent nobody; 'supervisor ps --all --workspace .*' shows them/],
    ["a traversal as an agent", ["logs", "../../etc/passwd"], 4, /no agent/],
    ["nothing to kill", ["kill"], 2, /say which agents/],
    [
      "a broken filter",
      ["progress", "--status", "x", "--message", "m", "--progress", "101", "--agent", "x"],
      2,
      /progress/,
    ],
    ["an unknown command", ["destroy"], 2, /unknown command/],
  ])("%s is refused in one clear line, and nothing is made", async (_what, args, code, message) => {
    const ran = await supervisor.cli(args as string[]);
    expect(ran).toMatchObject({ code, stderr: expect.stringMatching(message as RegExp) });
    expect(ran.stderr.trim().split("\n")).toHaveLength(1);
    const left = readdirSync(supervisor.workspace, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => one.name);
    expect(left.filter((name) => !/^(daemon\.json|\.gitignore|AGENT_REGISTRY\.json(\.bak)?)$/.test(name))).toEqual([]);
  });

  test("over the socket gets an error without a stack, and the daemon goes on", async () => {
    const { stdout } = await supervisor.shell(
      `curl -s --unix-socket ${supervisor.socket} -H 'content-type: application/json' -d '{"command":["true"],"cwd":"/","comand":1}' http://x/v1/agents`,
    );
    expect(JSON.parse(stdout)).toMatchObject({ success: false, code: "invalid_request" });
    for (const body of ["", "{", "[]", '{"command":[]}', '{"command":["a\\u0000b"],"cwd":"/"}']) {
      const answer = await supervisor.shell(
        `curl -s --unix-socket ${supervisor.socket} -H 'content-type: application/json' -d '${body}' http://x/v1/agents`,
      );
      expect(JSON.parse(answer.stdout), body).toMatchObject({ success: false, code: "invalid_request" });
      expect(answer.stdout).not.toMatch(/\n\s+at /);
    }
    expect((await supervisor.cli(["ps"])).code).toBe(0);
  });

  test.each([
    ['{"command":["true"],"cwd":"/","env":{"__proto__":"x"}}', /^the body has a field named '__proto__'/],
    ['{"constructor":{"prototype":{}}}', /or 'constructor' with a 'prototype' in it/],
    ['{"command":', /^the body is not JSON: \S/],
  ])("as the body %s is refused for what it is", async (body, message) => {
    const answer = await fetch_json(supervisor, "/v1/agents", body);
    expect(answer).toEqual({ success: false, code: "invalid_request", error: expect.stringMatching(message) });
  });
});

/** A body as it is, which no client of ours would send. */
async function fetch_json(supervisor: TestSupervisor, path: string, body: string): Promise<unknown> {
  const answer = await supervisor.shell(
    `curl -s --unix-socket ${supervisor.socket} -H 'content-type: application/json' -d '${body}' http://x${path}`,
  );
  return JSON.parse(answer.stdout);
}

describe("without a daemon", () => {
  test.each([
    ["no daemon", ["ps"], {}, 3, /no supervisor is running for .*; start one with 'supervisor start --workspace .*'/],
    ["no tmux", ["start"], { PATH: "/nonexistent" }, 1, /tmux is not installed/],
    [
      "a workspace that cannot be made",
      ["start", "--workspace", "/proc/ws"],
      {},
      1,
      /the workspace \/proc\/ws cannot be used/,
    ],
  ])("%s is said in one line with the exit code of the contract", async (_what, args, env, code, message) => {
    const supervisor = await TestSupervisor.prepare();
    const ran = await supervisor.cli(args as string[], { env: env as Record<string, string> });
    expect(ran).toMatchObject({ code, stderr: expect.stringMatching(message as RegExp) });
    expect(ran.stderr.trim().split("\n")).toHaveLength(1);
    await supervisor.dispose();
  });

  test("no lsof is said before anything is made", async () => {
    const supervisor = await TestSupervisor.prepare();
    await supervisor.shell('mkdir bin && ln -s "$(command -v tmux)" bin/tmux');
    const ran = await supervisor.cli(["start"], { env: { PATH: `${supervisor.root}/bin` } });
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringMatching(/^supervisor: lsof is not installed.*\n$/) });
    expect(existsSync(supervisor.workspace)).toBe(false);
    await supervisor.dispose();
  });

  test("an lsof that hangs keeps a start no longer than its deadline, which says what it waited for, and nothing is made", async () => {
    const supervisor = await TestSupervisor.prepare();
    await (await fake_lsof(supervisor)).becomes("sleep 1000");
    expect(await supervisor.cli(["start"])).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "supervisor: lsof did not answer in 10000 ms when it was asked for its version, so no end could be proven; see that 'lsof -v' answers, and start again\n",
    });
    expect(existsSync(supervisor.workspace)).toBe(false);
    await supervisor.dispose();
  });

  test("a workspace whose path is too long for a socket works, and so does one with spaces and umlauts", async () => {
    const supervisor = await TestSupervisor.prepare();
    const deep = `${supervisor.root}/${"a long name with ä ".repeat(8)}/ws`;
    const child = spawn(process.execPath, [SUPERVISOR, "start", "--json", "--workspace", deep], {
      env: supervisor.env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const ran = await supervisor.cli(["deploy", "--workspace", deep, "--wait", "--json", "--", "echo", "hello"]);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      status: "completed",
      cleanup: { bytes_logged: 6, handles: "clear" },
    });
    expect((await supervisor.cli(["stop", "--workspace", deep])).code).toBe(0);
    await eventually("the daemon's end", () => child.exitCode !== null);
    await supervisor.dispose();
  });
});
