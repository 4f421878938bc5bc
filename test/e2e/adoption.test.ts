import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { AgentView } from "../../src/contract/agent-view.ts";
import { remove_group } from "../../src/drivers/cgroup.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { stop_host } from "../support/stop-host.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

const AGENT_HOST = fileURLToPath(new URL("../../dist/agent-host.cjs", import.meta.url));
let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.start();
});
afterEach(() => supervisor.dispose());

const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
const has_state = (agent: AgentRecord, state: AgentView["host_state"]) =>
  eventually(`the host of ${agent.id} to be ${state}`, async () => (await get(agent)).host_state === state);
const numbers = () => supervisor.deploy({ command: [fixture("prints-numbers"), "0.02"] });
const registry_of = (agent: AgentRecord) =>
  join(dirname(agent.tracked_files.prompt_file as string), "AGENT_REGISTRY.json");
const events = async () => {
  const text = (await supervisor.cli(["events"])).stdout;
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { type: string; agent_id: string | null; message: string });
};
/** All that its host says is on record, which is a moment after the host is connected. */
const is_taken_up = (agent: AgentRecord) =>
  eventually(`${agent.id} to be taken up`, async () =>
    (await events()).some((one) => one.type === "agent_adopted" && one.agent_id === agent.id),
  );
/** True while exactly this process exists. */
const lives = ({ pid, start_time }: { pid: number; start_time: number }) => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] === String(start_time);
  } catch {
    return false;
  }
};
const prints_on = async (agent: AgentRecord) => {
  const { length } = await supervisor.log_text(agent);
  await eventually(`${agent.id} to print on`, async () => (await supervisor.log_text(agent)).length > length);
};

describe("a host that", () => {
  test("is stopped keeps nobody from being adopted, is shown as unresponsive, and is taken up when it goes on", async () => {
    const [stopped, other] = await Promise.all([numbers(), numbers()]);
    const { host } = await get(stopped);
    await stop_host(supervisor, host?.pid as number);
    await supervisor.boot();
    await has_state(other, "connected");
    expect(await get(other)).toMatchObject({ status: "running" });
    await has_state(stopped, "unresponsive");
    expect((await supervisor.cli(["ps"])).stdout).toContain("running, host unresponsive");
    expect((await supervisor.cli(["status", stopped.id])).stdout).toMatch(
      /HOST +unresponsive: .*did not answer 'hello'/,
    );
    process.kill(host?.pid as number, "SIGCONT");
    await has_state(stopped, "connected");
    expect((await get(stopped)).process).toEqual(stopped.process);
    await prints_on(stopped);
    expect(gap_or_double(await supervisor.log_text(stopped))).toBeNull();
  });

  test("is stopped can still have its agent killed, with every byte", async () => {
    const agent = await numbers();
    const { host } = await get(agent);
    await supervisor.printed(agent, "3\n");
    await stop_host(supervisor, host?.pid as number);
    await supervisor.boot();
    await has_state(agent, "unresponsive");
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    expect(receipt).toMatchObject({
      success: true,
      status: "terminated",
      cleanup: { survivors: [], handles: "clear" },
    });
    expect(receipt.cleanup.bytes_logged).toBe((await supervisor.log_text(agent)).length);
  });

  test("lost its socket is unreachable, its agent runs on, and is ended by a signal with every byte", async () => {
    const agent = await numbers();
    const { host } = await get(agent);
    await supervisor.signal_daemon("SIGKILL");
    rmSync(host?.socket as string);
    await supervisor.boot();
    await has_state(agent, "unreachable");
    await prints_on(agent);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    expect(receipt).toMatchObject({
      success: true,
      status: "terminated",
      cleanup: { survivors: [], handles: "clear" },
    });
    expect(receipt.cleanup.bytes_logged).toBe((await supervisor.log_text(agent)).length);
    expect(gap_or_double(await supervisor.log_text(agent))).toBeNull();
  });
});

/** Answers every request of a connection with what `answer` makes of it; undefined is no answer. */
function stand_in(path: string, on_connection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      on_connection(socket);
    });
    server.listen(path, () => resolve(server));
  });
}

type Facts = Record<string, unknown>;
/** A host that answers each `hello` with these facts. */
const says = (facts: Facts) => (socket: Socket) => {
  socket.on("data", (chunk) => {
    for (const line of String(chunk).trim().split("\n"))
      socket.write(`${JSON.stringify({ id: JSON.parse(line).id, ok: true, result: facts })}\n`);
  });
};

describe("somebody on a host's socket", () => {
  const myself = { pid: process.pid, start_time: Number(readFileSync("/proc/self/stat", "latin1").split(" ")[21]) };
  const behaviours: [
    what: string,
    state: AgentView["host_state"],
    make: (true_facts: Facts) => (socket: Socket) => void,
  ][] = [
    ["who stays silent", "unresponsive", () => () => {}],
    ["who hangs up at once", "mistrusted", () => (socket) => socket.destroy()],
    ["who sends garbage", "mistrusted", () => (socket) => socket.write("\u0000garbage\n{}\n")],
    [
      "who sends without end and without a newline",
      "mistrusted",
      () => (socket) => {
        const block = Buffer.alloc(1024 * 1024, "x");
        const pour = () => {
          while (!socket.destroyed && socket.write(block));
        };
        socket.on("drain", pour);
        pour();
      },
    ],
    ["who answers with no facts", "mistrusted", () => says({ protocol: 2, nonsense: true })],
    [
      "who speaks a newer protocol",
      "protocol_mismatch",
      (facts) => says({ ...facts, protocol: 99, phase: "dreaming" }),
    ],
    ["who speaks a protocol from before the first", "protocol_mismatch", () => says({ protocol: 0 })],
    ["who names another agent", "mistrusted", (facts) => says({ ...facts, agent_id: "other-120000-abcdef" })],
    ["who is another process", "mistrusted", (facts) => says({ ...facts, host: myself })],
    ["who names a bystander as the agent", "mistrusted", (facts) => says({ ...facts, process: myself })],
    ["who says that it waits", "mistrusted", (facts) => says({ ...facts, phase: "waiting", process: null })],
    ["who says that it closed, without a report", "mistrusted", (facts) => says({ ...facts, phase: "closed" })],
    [
      "who speaks the first protocol, which is adopted,",
      "connected",
      (facts) => says({ ...facts, protocol: 1, record: undefined }),
    ],
  ];

  test(`${behaviours.map(([what]) => what).join("; ")}: is seen through, and nothing is touched on their word`, async () => {
    const agents = await Promise.all(behaviours.map(() => supervisor.deploy({ command: [fixture("idles")] })));
    const hosts = await Promise.all(
      agents.map(async (agent) => (await get(agent)).host as NonNullable<AgentRecord["host"]>),
    );
    await supervisor.signal_daemon("SIGKILL");
    const servers = await Promise.all(
      behaviours.map(([, , make], index) => {
        const { socket, boot_id: _boot, protocol, ...host } = hosts[index] as (typeof hosts)[number];
        renameSync(socket, `${socket}.kept`);
        const facts = {
          protocol,
          agent_id: agents[index]?.id,
          phase: "running",
          host,
          process: agents[index]?.process,
          bytes_read: 0,
          bytes_written: 0,
          closed: null,
          stalled: null,
        };
        return stand_in(socket, make(facts));
      }),
    );
    const { pid } = await supervisor.boot();
    for (const [index, [what, state]] of behaviours.entries()) {
      const agent = agents[index] as AgentRecord;
      await eventually(`${what} to be ${state}`, async () => (await get(agent)).host_state === state);
    }
    expect((await get(agents[5] as AgentRecord)).host_state_reason).toMatch(
      /speaks protocol 99, this supervisor 1 to 2/,
    );
    for (const agent of agents) {
      expect(await get(agent)).toMatchObject({ status: "running", process: agent.process });
      expect(lives(agent.process as NonNullable<AgentRecord["process"]>)).toBe(true);
    }
    const peak_kb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
    expect(peak_kb).toBeLessThan(400 * 1024);
    // The true hosts come back, and each is taken up.
    for (const [index, server] of servers.entries()) {
      const { socket } = hosts[index] as (typeof hosts)[number];
      server.close();
      renameSync(`${socket}.kept`, socket);
    }
    await supervisor.signal_daemon("SIGKILL");
    await supervisor.boot();
    for (const agent of agents) await has_state(agent, "connected");
  });
});

describe("a registry that is lost while no supervisor runs", () => {
  test("is rebuilt from the living hosts, with everything that the entries had", async () => {
    const agents = await Promise.all([1, 2, 3].map(numbers));
    const before = await Promise.all(agents.map(get));
    const path = registry_of(agents[0] as AgentRecord);
    await supervisor.signal_daemon("SIGKILL");
    rmSync(path);
    rmSync(`${path}.bak`);
    await supervisor.boot();
    for (const agent of before) {
      await is_taken_up(agent);
      const { notes, last_update: _when, status: _status, usage: _usage, ...now } = await get(agent);
      expect(notes.join()).toContain("rebuilt");
      const { notes: _none, last_update: _before, status: _running, usage: _used, ...was } = agent;
      expect(now).toEqual(was);
      await prints_on(agent);
    }
    const { receipts } = await supervisor.client.call("kill_many", { body: { all: true, cleanup: "keep" } });
    for (const receipt of receipts) expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear" } });
    for (const agent of agents) expect(gap_or_double(await supervisor.log_text(agent))).toBeNull();
  });

  test("together with its whole directory, is made again in its place, and the agents can be ended", async () => {
    const agents = await Promise.all([numbers(), numbers()]);
    const dir = dirname(registry_of(agents[0]));
    await supervisor.signal_daemon("SIGKILL");
    rmSync(dir, { recursive: true });
    await supervisor.boot();
    for (const agent of agents) {
      await is_taken_up(agent);
      expect(await get(agent)).toMatchObject({ status: "running", process: agent.process, task_id: agent.task_id });
      expect((await get(agent)).notes.join()).toMatch(/what its host remembers.*its logs have 0/);
    }
    expect(existsSync(registry_of(agents[0]))).toBe(true);
    const { success } = await supervisor.client.call("kill_many", { body: { all: true } });
    expect(success).toBe(true);
  });

  test("is made again also from a host that was stopped when the supervisor started, once that goes on", async () => {
    const agent = await numbers();
    await stop_host(supervisor, agent.host?.pid as number);
    rmSync(dirname(registry_of(agent)), { recursive: true });
    await supervisor.boot();
    await eventually("the silence to be told of", async () =>
      (await events()).some(({ message }) => /no registry knows.*did not answer.*it is when it does/.test(message)),
    );
    process.kill(agent.host?.pid as number, "SIGCONT");
    await eventually("the agent to be taken up", async () => {
      const found = await get(agent).catch(() => null);
      return found?.status === "running" && found.host_state === "connected";
    });
    expect(await get(agent)).toMatchObject({ process: agent.process, task_id: agent.task_id });
  });

  test("counts agents whose hosts are gone as lost, cleans up their files, and takes in the exit records of others", async () => {
    const go = join(supervisor.root, "go");
    const [lost, ended] = await Promise.all([
      numbers(),
      supervisor.deploy({ command: ["sh", "-c", `while [ ! -e '${go}' ]; do sleep 0.02; done; exit 3`] }),
    ]);
    const { host } = await get(lost);
    const path = registry_of(lost);
    const task = dirname(path);
    await supervisor.signal_daemon("SIGKILL");
    writeFileSync(go, "");
    await eventually("the exit record", () => existsSync(join(task, "exits", `${ended.id}.json`)));
    process.kill(host?.pid as number, "SIGKILL");
    rmSync(path);
    rmSync(`${path}.bak`);
    await supervisor.boot();
    expect(await supervisor.client.call("wait", { params: { agent: lost.id } })).toMatchObject({
      status: "lost",
      cleanup: { survivors: [], handles: "clear", files_failed: [] },
    });
    expect(await supervisor.client.call("wait", { params: { agent: ended.id } })).toMatchObject({
      status: "failed",
      exit: { code: 3 },
    });
    expect(readdirSync(join(task, "logs"))).toEqual([]);
  });
});

test("a launch that an earlier supervisor began is waited for, and its outcome counts", async () => {
  // A launch with --stdout pipe runs mkfifo; this one takes as long as the test wants.
  const bin = join(supervisor.root, "bin");
  const [begun, gate] = [join(bin, "begun"), join(bin, "gate")];
  mkdirSync(bin);
  execFileSync("mkfifo", [gate]);
  writeFileSync(
    join(bin, "mkfifo"),
    `#!/bin/sh\nPATH=\${PATH#*:}\n: >'${begun}'\nread -r _ <'${gate}'\nexec mkfifo "$@"\n`,
    { mode: 0o755 },
  );
  await supervisor.signal_daemon("SIGTERM");
  const { PATH } = supervisor.env;
  supervisor.env.PATH = `${bin}:${PATH}`;
  await supervisor.boot();
  const deploying = supervisor.deploy({ command: [fixture("idles")], stdout: "pipe" }).catch(() => undefined);
  await eventually("the host to be at it", () => existsSync(begun));
  const [agent] = await supervisor.client.call("list_agents");
  await supervisor.signal_daemon("SIGKILL");
  await deploying;
  await supervisor.boot();
  await has_state(agent as AgentRecord, "starting");
  expect(await get(agent as AgentRecord)).toMatchObject({ status: "deploying" });
  writeFileSync(gate, "go on\n");
  await eventually("the agent to run", async () => (await get(agent as AgentRecord)).status === "running");
  await supervisor.printed(agent as AgentRecord, "ready");
  expect(lives((await get(agent as AgentRecord)).process as NonNullable<AgentRecord["process"]>)).toBe(true);
});

test("a host that was told to stop before its launch takes no launch any more", async () => {
  const socket = join(supervisor.root, "h.sock");
  const host = spawn(process.execPath, [AGENT_HOST, "x-120000-abcdef", socket, join(supervisor.root, "t.sock")]);
  const left = new Promise((resolve) => host.once("exit", resolve));
  await eventually("the host's socket", () => existsSync(socket));
  const connection = createConnection(socket);
  const path = (name: string) => join(supervisor.root, name);
  writeFileSync(path("prompt"), "");
  const spec = {
    agent_id: "x-120000-abcdef",
    task_id: "TASK-20251029-225319-45548b6a",
    command: ["touch", path("launched")],
    cwd: supervisor.root,
    env: supervisor.env,
    mode: "headless",
    stdout: "pty",
    cookie: "c",
    prompt_file: path("prompt"),
    log_file: path("log"),
    terminal_log: null,
    exit_record: path("exit"),
    grace_ms: 0,
    cleanup: "keep",
    record: {},
  };
  // Both at once, as when the launch of a dead supervisor is still on its way.
  connection.write(
    `${JSON.stringify({ type: "stop", id: 1, cause: "deploy_failed", signal: "SIGTERM", grace_ms: 0 })}\n${JSON.stringify({ type: "launch", id: 2, spec })}\n`,
  );
  expect(await left).toBe(0);
  expect([existsSync(path("log")), existsSync(path("launched"))]).toEqual([false, false]);
});

test("a restart of the machine is told from a crash: agents are lost with that reason, and their files are cleaned up", async () => {
  const agents = await Promise.all([1, 2].map(() => supervisor.deploy({ command: [fixture("idles")] })));
  const hosts = await Promise.all(agents.map(async (agent) => (await get(agent)).host));
  const groups = (await Promise.all(agents.map(async (agent) => (await get(agent)).cgroups))).flat();
  const path = registry_of(agents[0] as AgentRecord);
  const { tmux_socket } = await supervisor.client.call("health");
  await supervisor.signal_daemon("SIGKILL");
  // As the machine's going down would: everything at once, and nobody to see it.
  for (const agent of agents) process.kill(agent.process?.pid as number, "SIGKILL");
  for (const host of hosts) process.kill(host?.pid as number, "SIGKILL");
  execFileSync("tmux", ["-S", tmux_socket, "kill-server"]);
  for (const { path: group } of groups)
    await eventually(`${group} to be empty and removed`, () => !existsSync(group) || remove_group(group));
  for (const dir of new Set(groups.map((one) => dirname(one.path)))) rmdirSync(dir);
  const daemon_json = join(supervisor.workspace, "daemon.json");
  for (const file of [path, daemon_json])
    writeFileSync(
      file,
      readFileSync(file, "utf8").replaceAll(/"boot_id": "[^"]+"/g, '"boot_id": "00000000-0000-0000-0000-000000000000"'),
    );
  await supervisor.boot();
  for (const agent of agents) {
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      status: "lost",
      reason: "the machine was restarted",
      cleanup: { files_failed: [] },
    });
    expect(receipt.notes.join()).toContain("the machine was restarted");
    for (const file of Object.values(agent.tracked_files)) expect(existsSync(file)).toBe(false);
  }
});

test("a registry that is edited while the supervisor runs is kept aside, and events tell of it", async () => {
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  const path = registry_of(agent);
  writeFileSync(path, '{"edited": true}');
  await supervisor.client.call("kill", { params: { agent: agent.id } });
  const aside = readdirSync(dirname(path)).find((name) => name.includes(".edited-"));
  expect(readFileSync(join(dirname(path), aside as string), "utf8")).toBe('{"edited": true}');
  expect(
    (await events()).some((one) => one.type === "warning" && one.message.includes("changed by somebody else")),
  ).toBe(true);
  expect(JSON.parse(readFileSync(path, "utf8")).agents[0].receipt.success).toBe(true);
});
