/** The front door: what is typed, what stands in daemon.json, and what comes over the socket. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;

describe("with a daemon", () => {
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());
  const curl = async (args: string, path: string) =>
    JSON.parse((await supervisor.shell(`curl -s --unix-socket ${supervisor.socket} ${args} http://x${path}`)).stdout);

  test("words after -- are the agent's: --json and --stack there are no options, and 'start' and '--help' no commands", async () => {
    const ran = await supervisor.cli([
      "deploy",
      "--wait",
      "--cleanup",
      "keep",
      "--",
      "echo",
      "start",
      "--json",
      "--help",
    ]);
    expect(ran.stdout).toContain("completed (exit code 0)");
    const failed = await supervisor.cli(["deploy", "--", "no-such-program", "--json", "--stack", "start", "demo"]);
    expect(failed).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(/^supervisor: no program.*\n$/),
    });
    // Before --, and before or after the command's name, they are options.
    for (const args of [
      ["--json", "deploy"],
      ["deploy", "--json"],
    ]) {
      const json = await supervisor.cli([...args, "--", "no-such-program"]);
      expect(JSON.parse(json.stdout)).toMatchObject({ success: false, code: "program_not_found" });
    }
  });

  test("--env-file is the agent's, and never Node's: a missing one is refused in our words, and NODE_OPTIONS in one does nothing to the command", async () => {
    const missing = await supervisor.shell(`${SUPERVISOR} deploy --env-file missing -- true`);
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/^supervisor: --env-file: .*\n$/) });
    writeFileSync(`${supervisor.root}/vars`, "NODE_OPTIONS=--no-such-option\nSUPERVISOR_WORKSPACE=/no/such\n");
    const ran = await supervisor.shell(`${SUPERVISOR} deploy --wait --env-file vars -- true`);
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining("completed") });
  });

  test("an explicit --env wins over what the caller's terminal would give; TERM has a default otherwise", async () => {
    const env_of = async (args: string[]) => {
      const ran = await supervisor.cli(
        ["deploy", "--wait", "--json", "--cleanup", "keep", ...args, "--", "/usr/bin/env"],
        {
          env: { TERM: "callers", COLUMNS: "7", TMUX: "callers" },
        },
      );
      const log = JSON.parse(ran.stdout).cleanup.files_kept.find((path: string) => path.endsWith(".jsonl"));
      return readFileSync(log, "utf8").split("\n");
    };
    const plain = await env_of([]);
    expect(plain).toContain("TERM=xterm-256color");
    expect(plain.filter((line) => /^(COLUMNS|TMUX)=/.test(line))).toEqual([]);
    const explicit = await env_of(["--env", "TERM=dumb", "--env", "COLUMNS"]);
    expect(explicit).toEqual(expect.arrayContaining(["TERM=dumb", "COLUMNS=7"]));
    expect(explicit).not.toContain("TERM=xterm-256color");
  });

  test("a POST without a body is the empty object; what is no JSON is refused with what to send", async () => {
    expect(await curl("-X POST", "/v1/gc")).toEqual({ removed: [], deferred: [], items: [] });
    expect(await curl("-X POST -d ''", "/v1/verify")).toMatchObject({ success: true });
    expect(await curl("-X POST -H 'content-type: application/json'", "/v1/gc")).toMatchObject({ removed: [] });
    expect(await curl("-X POST", "/v1/agents")).toMatchObject({ code: "invalid_request", error: /command/ });
    expect(await curl("-d x=1", "/v1/gc")).toMatchObject({ code: "invalid_request", error: /application\/json/ });
  });

  test("openapi describes every answer, and an agent's unknown fields still reach the client", async () => {
    const { paths } = await curl("", "/openapi.json");
    const operations = Object.values(paths).flatMap((path) => Object.values(path as object)) as {
      operationId: string;
      responses: Record<string, { content: Record<string, { schema: object }> }>;
    }[];
    expect(operations.length).toBeGreaterThan(15);
    for (const { operationId, responses } of operations) {
      const [content] = Object.values(responses["200"]?.content ?? {});
      expect(Object.keys(content?.schema ?? {}), operationId).not.toEqual([]);
      expect(responses.default?.content["application/json"]?.schema).toMatchObject({
        required: ["success", "error", "code"],
      });
    }
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    expect(await curl("", `/v1/agents/${agent.id}`)).toMatchObject({ task_id: expect.stringMatching(/^TASK-/) });
  });

  test("one agent's reports, a thousand a second and more, are all taken and all written", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const report = () =>
      supervisor.client.call("progress", { params: { agent: agent.id }, body: { status: "working", message: "m" } });
    // How fast they are is the machine's; that the limit is not what holds them up is said by the answers.
    const answers = await in_parallel(3_000, 40, report);
    expect(answers.filter((one) => one !== "ok")).toEqual([]);
    const lines = readFileSync(agent.tracked_files.progress_file as string, "utf8")
      .trim()
      .split("\n");
    expect(lines).toHaveLength(3_000);
  });
});

/** Calls `work` so often, so many at a time. */
async function in_parallel(times: number, at_once: number, work: () => Promise<unknown>): Promise<string[]> {
  const answers: string[] = [];
  let left = times;
  const worker = async () => {
    while (left-- > 0)
      answers.push(
        await work().then(
          () => "ok",
          (error) => error.code,
        ),
      );
  };
  await Promise.all(Array.from({ length: at_once }, worker));
  return answers;
}

describe("daemon.json", () => {
  test.each([
    ["cut short", '{"pid": 1'],
    ["empty", ""],
    ["of other fields", '{"pid":"x"}'],
    ["no object", "[]"],
  ])("that is %s gives clients one clear line, and a start writes it anew", async (_what, text) => {
    supervisor = await TestSupervisor.prepare();
    mkdirSync(supervisor.workspace);
    writeFileSync(`${supervisor.workspace}/daemon.json`, text);
    const ran = await supervisor.cli(["ps", "--json"]);
    expect(ran).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: .*daemon\.json does not say who serves.*\n$/),
    });
    expect(JSON.parse(ran.stdout)).toMatchObject({ code: "daemon_info_unreadable" });
    await supervisor.boot();
    expect((await supervisor.cli(["ps"])).code).toBe(0);
    await supervisor.dispose();
  });

  test("that is a link is not read by clients", async () => {
    supervisor = await TestSupervisor.prepare();
    mkdirSync(supervisor.workspace);
    symlinkSync("/etc/hostname", `${supervisor.workspace}/daemon.json`);
    expect(await supervisor.cli(["ps"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("does not say who serves"),
    });
    await supervisor.dispose();
  });

  test("that names a directory of somebody else's as the runtime directory does not make the daemon touch it", async () => {
    supervisor = await TestSupervisor.prepare();
    mkdirSync(supervisor.workspace);
    mkdirSync(`${supervisor.root}/precious`, { mode: 0o755 });
    const info = { pid: 1, start_time: 1, boot_id: "", hostname: "", socket: "/s", version: "0" };
    writeFileSync(
      `${supervisor.workspace}/daemon.json`,
      JSON.stringify({
        ...info,
        boot_id: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
        runtime_dir: `${supervisor.root}/precious`,
      }),
    );
    await supervisor.boot();
    expect(supervisor.socket).toMatch(/\/supervisor-\d+\/[0-9a-f]{10}\/d\.sock$/);
    expect((await supervisor.shell("stat -c %a precious; ls precious | wc -l")).stdout).toBe("755\n0\n");
    await supervisor.dispose();
    rmSync(supervisor.root, { recursive: true, force: true });
  });
});

test("a second daemon is refused with the pid of the first, and leaves nothing", async () => {
  supervisor = await TestSupervisor.start();
  const before = (await supervisor.shell("find ws | sort")).stdout;
  const ran = await supervisor.cli(["start", "--json"]);
  expect(ran).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^supervisor: a supervisor already serves .*\(pid \d+\).*\n$/),
  });
  expect((await supervisor.shell("find ws | sort")).stdout).toBe(before);
  await supervisor.dispose();
});

test("'wait' on another program's entry that is already over says that nobody saw its end", async () => {
  supervisor = await TestSupervisor.prepare();
  const dir = `${supervisor.workspace}/TASK-20251029-225319-45548b6a`;
  mkdirSync(dir, { recursive: true });
  const agents = ["terminated", "completed"].map((status) => ({ id: `${status}-225319-aaaaaa`, status }));
  writeFileSync(`${dir}/AGENT_REGISTRY.json`, JSON.stringify({ task_id: "TASK-20251029-225319-45548b6a", agents }));
  await supervisor.boot();
  for (const { id, status } of agents)
    expect(await supervisor.cli(["wait", id])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(`^supervisor: ${id} was started by another program and is ${status};.*\\n$`),
      ),
    });
  await supervisor.dispose();
});

test("a second Ctrl-C during an end stops the daemon at once and says so; the end goes on, and the next start takes it in", async () => {
  supervisor = await TestSupervisor.prepare();
  const child = spawn(process.execPath, [SUPERVISOR, "start", "--json", "--workspace", supervisor.workspace], {
    env: supervisor.env,
    cwd: supervisor.root,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += text));
  child.stderr.on("data", (text) => (stderr += text));
  await eventually("the daemon", () => stdout.includes("ready"));
  supervisor.socket = JSON.parse(stdout).socket;
  const deploy = (name: string) =>
    supervisor.cli(["deploy", "--grace", "600000", "--", fixture(name)]).then((ran) => ran.stdout.trim());
  const [stubborn, other] = [await deploy("ignores-signals"), await deploy("idles")];
  await eventually("both to be ready", async () => {
    const logs = await Promise.all([stubborn, other].map((id) => supervisor.cli(["logs", id])));
    return logs.every((log) => log.stdout.includes("ready"));
  });
  const killed = supervisor.cli(["kill", stubborn]);
  await eventually("its end to begin", async () => (await supervisor.cli(["events"])).stdout.includes("agent_ending"));
  child.kill("SIGINT");
  await eventually("the stop to begin", () => stderr.includes("a second signal stops at once"));
  // With all that it said.
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  // The same press twice is one; a later one is the second.
  await eventually("the daemon's end", () => !child.kill("SIGINT") || child.exitCode !== null);
  expect(await exited).toBe(1);
  expect(stderr).toContain("supervisor: stopped at once");
  expect((await killed).code).toBe(1);
  await supervisor.boot();
  const agents = JSON.parse((await supervisor.cli(["ps", "--json"])).stdout);
  expect(agents.map((one: { id: string; status: string }) => [one.id, one.status])).toEqual([
    [stubborn, "stopping"],
    [other, "running"],
  ]);
  expect((await supervisor.cli(["kill", stubborn, "--grace", "0"])).stdout).toContain("by SIGKILL");
  await supervisor.dispose();
});
