/** How the command and the daemon in it end: never by an abort, never because nobody hears what they say, and never before what they began is over. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { spawn as spawn_on_terminal } from "node-pty";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Client } from "../../src/client/client.ts";
import { discover } from "../../src/client/discover.ts";
import { eventually, fixture, processes_marked, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
});
afterEach(() => supervisor.dispose());

const start = () => ["start", "--workspace", supervisor.workspace];

/** Waits until a daemon serves the workspace. */
async function serving(): Promise<Client> {
  const { socket } = await eventually("a daemon to serve", async () => {
    const client = await discover(supervisor.workspace, supervisor.root, undefined).catch(() => null);
    return client?.call("health").then(
      () => client,
      () => null,
    );
  });
  return new Client(socket);
}

function run_with(args: string[], stdio: ("pipe" | number)[]): ChildProcess {
  return spawn(process.execPath, [SUPERVISOR, ...args], {
    env: supervisor.env,
    cwd: supervisor.root,
    stdio: ["ignore", ...stdio],
  });
}

describe("a supervisor", () => {
  test("whose terminal hangs up stops in order, and is not aborted by Node, which would put that terminal back as it was", async () => {
    const daemon = spawn_on_terminal(process.execPath, [SUPERVISOR, ...start()], {
      env: supervisor.env,
      cwd: supervisor.root,
    });
    const ended = new Promise<object>((resolve) => daemon.onExit(resolve));
    await serving();
    (daemon as unknown as { destroy(): void }).destroy();
    expect(await ended).toEqual({ exitCode: 0, signal: 0 });
    expect(readdirSync(supervisor.workspace)).not.toContain("daemon.json");
  });

  test.each([
    ["nobody reads what it says", "gone"],
    ["a full disk takes what it says", "full"],
  ])("serves on when %s, and stops in order", async (_when, how) => {
    const full = openSync("/dev/full", "w");
    const daemon = run_with(start(), how === "full" ? [full, full] : ["pipe", "pipe"]);
    if (how === "gone") for (const stream of [daemon.stdout, daemon.stderr]) stream?.destroy();
    const ended = once(daemon, "exit");
    const client = await serving();
    supervisor.client = client;
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const receipt = await client.call("kill", { params: { agent: agent.id }, body: {} });
    expect(receipt).toMatchObject({ cleanup: { handles: "clear", survivors: [] } });
    daemon.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    expect(readdirSync(supervisor.workspace)).not.toContain("daemon.json");
  });
});

describe("inside an agent", () => {
  test("its own supervisor is neither started nor said to be for it to start; another workspace's is its own affair", async () => {
    await supervisor.boot();
    const inside = {
      SUPERVISOR_AGENT_ID: "agent-20261127-000000-0a0a0a",
      SUPERVISOR_WORKSPACE: supervisor.workspace,
      SUPERVISOR_SOCKET: supervisor.socket,
    };
    expect(await supervisor.signal_daemon("SIGTERM")).toBe(0);
    expect(await supervisor.cli(["start"], { env: inside })).toEqual({
      code: 2,
      stdout: "",
      stderr: `supervisor: the supervisor of ${inside.SUPERVISOR_AGENT_ID} is not started from inside it: it would end with that agent; start it elsewhere with 'supervisor start --workspace ${supervisor.workspace}'\n`,
    });
    expect(await supervisor.cli(["progress", "--status", "working", "--message", "m"], { env: inside })).toEqual({
      code: 3,
      stdout: "",
      stderr: `supervisor: no supervisor is running on ${supervisor.socket}: it was stopped, or died; try again when whoever runs it has started it again\n`,
    });
    Object.assign(supervisor.env, inside, { SUPERVISOR_WORKSPACE: `${supervisor.root}/another` });
    await supervisor.boot();
  });
});

describe("the demo", () => {
  const demo = (stdio: ("pipe" | number)[]) => {
    supervisor.env.TMPDIR = supervisor.root;
    return run_with(["demo"], stdio);
  };
  const left = () => readdirSync(supervisor.root).filter((name) => name.startsWith("supervisor-demo-"));

  test("leaves nothing when its reader leaves", async () => {
    const child = demo(["pipe", "pipe"]);
    const ended = once(child, "exit");
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.stdout?.destroy();
    expect(await ended).toEqual([0, null]);
    expect(left()).toEqual([]);
    expect(processes_marked(supervisor.root)).toEqual([]);
  });

  test("that finds no room for what it says ends as it should, and says so", async () => {
    const child = demo([openSync("/dev/full", "w"), "pipe"]);
    const stderr = text(child.stderr as NodeJS.ReadableStream);
    expect(await once(child, "close")).toEqual([1, null]);
    expect(await stderr).toBe(
      "supervisor: the tour could not be written to stdout (ENOSPC: no space left on device, write)\n",
    );
    expect(left()).toEqual([]);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends its agents and removes its workspace at %s",
    async (signal) => {
      const child = demo(["pipe", "pipe"]);
      const ended = once(child, "exit");
      await once(child.stdout as NodeJS.ReadableStream, "data");
      child.kill(signal);
      expect(await ended).toEqual([1, null]);
      expect(left()).toEqual([]);
      expect(processes_marked(supervisor.root)).toEqual([]);
    },
  );
});

describe("a command", () => {
  test("that waits for its agent says at Ctrl-C who goes on, and ends by the signal", async () => {
    writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ limits: { max_concurrent: 1 } }));
    await supervisor.boot();
    await supervisor.deploy({ command: [fixture("idles")] });
    const args = ["deploy", "--wait", "--workspace", supervisor.workspace, "--", fixture("idles")];
    const child = run_with(args, ["pipe", "pipe"]);
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (chunk) => {
        said += chunk;
      });
    const ended = once(child, "close");
    // It hears signals for itself before it says this.
    await eventually("it to be queued", () => / is queued,.*\n$/.test(said));
    const [id] = said.split(" ");
    child.kill("SIGINT");
    expect(await ended).toEqual([null, "SIGINT"]);
    expect(said.split("\n")[1]).toBe(
      `${id} goes on; 'supervisor kill --workspace ${supervisor.workspace} ${id}' ends it`,
    );
    const agent = await supervisor.client.call("get_agent", { params: { agent: id as string } });
    expect(agent).toMatchObject({ status: "queued" });
  });

  test("whose output finds no room says so and fails", async () => {
    await supervisor.boot();
    const ps = run_with(["ps", "--workspace", supervisor.workspace], [openSync("/dev/full", "w"), "pipe"]);
    const stderr = text(ps.stderr as NodeJS.ReadableStream);
    expect(await once(ps, "close")).toEqual([1, null]);
    expect(await stderr).toBe(
      "supervisor: the answer could not be written to stdout (ENOSPC: no space left on device, write)\n",
    );
  });

  test("ends with its own exit code when nobody can be told of the error", async () => {
    const full = openSync("/dev/full", "w");
    expect(await once(run_with(["ps"], [full, full]), "exit")).toEqual([3, null]);
    expect(existsSync(join(supervisor.root, "core"))).toBe(false);
  });

  test("ends, and says nothing of its own, with its output or its errors on /dev/null", async () => {
    const nowhere = openSync("/dev/null", "w");
    expect(await once(run_with(["doctor"], ["pipe", nowhere]), "exit")).toEqual([0, null]);
    const doctor = run_with(["doctor"], [nowhere, "pipe"]);
    const stderr = text(doctor.stderr as NodeJS.ReadableStream);
    expect(await once(doctor, "close")).toEqual([0, null]);
    expect(await stderr).toBe("");
  });
});
