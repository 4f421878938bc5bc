/** Alerts of a real daemon, told to real programs and to a webhook on loopback. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Alert } from "../../src/contract/alert.ts";
import type { SupervisorEvent } from "../../src/contract/operations/supervisor.ts";
import { stop_host } from "../support/stop-host.ts";
import { eventually, fixture, processes_marked, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
});
afterEach(() => supervisor.dispose());

const DISK = "disk_free_bytes: 9000000000000000";
const configure = (alerts: string) =>
  writeFileSync(
    `${supervisor.root}/supervisor.config.yaml`,
    `alerts: { check_seconds: 0.2, retry_seconds: 0.02, ${alerts} }\n`,
  );
/** A program of the user's; it writes what it is told to a file of the test. */
const hook = (script: string) => `command: [sh, -c, '${script}']`;
const told = (): Alert[] => {
  const path = `${supervisor.root}/told`;
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
};
const events = async (): Promise<SupervisorEvent[]> =>
  (await supervisor.cli(["events"])).stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

function link_of(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return null;
  }
}

/** Keeps a file of an agent open until it is ended. */
async function hold(path: string): Promise<ChildProcess> {
  const holder = spawn("tail", ["-f", path], {
    env: { PATH: supervisor.env.PATH as string },
    stdio: ["ignore", "pipe", "ignore"],
  });
  // Before its file, it has its libraries open under the same number.
  await eventually("tail to have it open", () => link_of(`/proc/${holder.pid}/fd/3`) === path);
  return holder;
}

test("files that wait for too long are told once, and again when they are gone; the program gets no environment of an agent's", async () => {
  configure(
    `deferred_minutes: 0.001, ${hook(`cat >> "$SUPERVISOR_WORKSPACE/../told"; env > "$SUPERVISOR_WORKSPACE/../env"`)}`,
  );
  supervisor.env.DAEMONS_SECRET = "s3cret-of-the-daemon";
  await supervisor.boot();
  const agent = await supervisor.deploy({
    command: [fixture("idles"), "s3cret-argument"],
    env: { PATH: supervisor.env.PATH as string, TEST_MARK: supervisor.root, AGENTS_SECRET: "s3cret-of-the-agent" },
  });
  const holder = await hold(agent.tracked_files.log_file as string);
  await supervisor.client.call("kill", { params: { agent: agent.id } });
  await eventually("the alert", () => told().length === 1);
  // Several looks later it is still the same alert.
  const looks = (await events()).length;
  await supervisor.client.call("gc");
  expect(looks).toBeGreaterThan(0);
  holder.kill();
  await eventually("the holder to be gone", () => holder.exitCode !== null || holder.signalCode !== null);
  await supervisor.client.call("gc");
  await eventually("the follow-up", () => told().length === 2);
  const [first, second] = told() as [Alert, Alert];
  expect(first).toMatchObject({
    type: "alert",
    state: "firing",
    cause: "cleanup_deferred",
    agent_id: agent.id,
    message: expect.stringMatching(/^1 of its files have waited in trash since .*: tail \(pid \d+\) holds /),
    workspace: supervisor.workspace,
  });
  expect(second).toMatchObject({
    state: "resolved",
    cause: "cleanup_deferred",
    agent_id: agent.id,
    since: first.since,
  });
  expect((await events()).filter(({ type }) => type === "alert").map(({ alert }) => alert)).toEqual([first, second]);
  const environment = readFileSync(`${supervisor.root}/env`, "utf8");
  expect(environment).toContain(`SUPERVISOR_WORKSPACE=${supervisor.workspace}`);
  const everything = environment + readFileSync(`${supervisor.root}/told`, "utf8") + supervisor.daemon_stderr;
  expect(everything).not.toContain("s3cret");
});

test("an agent that is lost is told, once", async () => {
  configure(hook('cat >> "$SUPERVISOR_WORKSPACE/../told"'));
  await supervisor.boot();
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  process.kill((agent.host as { pid: number }).pid, "SIGKILL");
  await eventually("the alert", () => told().length > 0);
  await supervisor.client.call("wait", { params: { agent: agent.id } });
  expect(told()).toMatchObject([{ cause: "agent_lost", state: "firing", agent_id: agent.id, task_id: agent.task_id }]);
});

test("a host that does not answer is told, and that it does again", async () => {
  configure(hook('cat >> "$SUPERVISOR_WORKSPACE/../told"'));
  await supervisor.boot();
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  const { pid } = agent.host as { pid: number };
  await stop_host(supervisor, pid);
  try {
    await supervisor.boot();
    await eventually("the alert", () => told().length === 1);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await eventually("the follow-up", () => told().length === 2);
  expect(told()).toMatchObject([
    { cause: "host_silent", state: "firing", agent_id: agent.id },
    { cause: "host_silent", state: "resolved", agent_id: agent.id },
  ]);
});

test.each([
  ["cannot be found", "command: [no-such-program-at-all]", "there is no such program"],
  ["fails", hook("echo what went wrong >&2; exit 7"), "sh exited with 7: what went wrong"],
  ["floods its output and fails", hook("yes >&2; exit 9"), "sh exited with 9: y"],
])("a program that %s is tried again, and the log says why; the supervisor goes on", async (_what, command, why) => {
  configure(`${DISK}, ${command}`);
  await supervisor.boot();
  await supervisor.says("an alert could not be delivered by the command");
  await supervisor.says(why);
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  expect(await supervisor.client.call("kill", { params: { agent: agent.id } })).toMatchObject({ success: true });
});

/** The hook forks one that leaves its session and one that does not, and none of the three ends by itself. */
const HANGS = hook('setsid sleep 1001 & sleep 1001 & echo "$$" >> "$SUPERVISOR_WORKSPACE/../pids"; wait');
const sleepers = () => processes_marked(supervisor.root).filter((one) => /^\d+ sleep 1001 $/.test(one));
/** A zombie is not alive: who adopts orphans here may be slow to reap them. */
const lives = (pid: string) => processes_marked(supervisor.root).some((one) => one.startsWith(`${pid} `));
const pids = () =>
  existsSync(`${supervisor.root}/pids`) ? readFileSync(`${supervisor.root}/pids`, "utf8").split("\n").slice(0, -1) : [];

test("a program that hangs is ended at its deadline with all that it started, and tried again", async () => {
  // It has long begun to hang by then, also on a loaded machine.
  configure(`${DISK}, timeout_seconds: 2, ${HANGS}`);
  await supervisor.boot();
  await eventually("a second attempt", () => pids().length >= 2);
  expect(lives(pids()[0] as string)).toBe(false);
  expect(sleepers().length).toBeLessThanOrEqual(2);
});

test("a program that runs is ended with the supervisor", async () => {
  configure(`${DISK}, timeout_seconds: 100, ${HANGS}`);
  await supervisor.boot();
  await eventually("the program to run", () => sleepers().length === 2 && pids().length === 1);
  await supervisor.signal_daemon("SIGTERM");
  expect(sleepers()).toEqual([]);
  expect(lives(pids()[0] as string)).toBe(false);
});

test("a program that runs when the supervisor is killed is ended by the next", async () => {
  configure(`${DISK}, timeout_seconds: 100, ${HANGS}`);
  await supervisor.boot();
  await eventually("the program to run", () => sleepers().length === 2 && pids().length === 1);
  await supervisor.signal_daemon("SIGKILL");
  expect(sleepers().length).toBe(2);
  configure("disk_free_bytes: 0");
  await supervisor.boot();
  expect(sleepers()).toEqual([]);
  expect(lives(pids()[0] as string)).toBe(false);
});

interface Asked {
  path: string | undefined;
  body: string;
}

/** A webhook on loopback; `answer` gets how often it was asked before. */
async function webhook(
  answer: (response: ServerResponse, before: number) => void,
): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server: Server = createServer((request: IncomingMessage, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    request.once("end", () => answer(response, asked.push({ path: request.url, body }) - 1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  supervisor.at_end.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/t0ken`, asked };
}

test("a webhook that fails twice gets the alert at the third attempt; its URL is in no log", async () => {
  const { url, asked } = await webhook((response, before) => {
    if (before === 0) response.destroy();
    else response.writeHead(before === 1 ? 503 : 204).end();
  });
  configure(`${DISK}, webhook: "${url}"`);
  await supervisor.boot();
  const delivered = async () => {
    const { metrics } = await supervisor.client.call("get_metrics");
    return metrics.find(({ name }) => name === "supervisor_alert_deliveries_total")?.values;
  };
  await eventually("the delivery to be counted", async () => (await delivered())?.length);
  expect(await delivered()).toEqual([{ labels: { channel: "webhook", result: "delivered" }, value: 1 }]);
  expect(asked.length).toBe(3);
  expect(JSON.parse((asked[2] as Asked).body)).toMatchObject({ cause: "disk_low", state: "firing", agent_id: null });
  expect(supervisor.daemon_stderr).not.toContain("t0ken");
});

test("a webhook that redirects is not followed, nor asked again", async () => {
  const { url, asked } = await webhook((response) => response.writeHead(307, { location: "/elsewhere" }).end());
  configure(`${DISK}, webhook: "${url}"`);
  await supervisor.boot();
  await supervisor.says("the webhook answered 307: redirects are not followed");
  expect(asked.map(({ path }) => path)).toEqual(["/t0ken"]);
  expect(supervisor.daemon_stderr).not.toContain("t0ken");
});

test("a webhook that never answers holds nobody up, and not the supervisor's end", async () => {
  const { url, asked } = await webhook(() => {});
  configure(`${DISK}, timeout_seconds: 100, webhook: "${url}"`);
  await supervisor.boot();
  await eventually("the webhook to be asked", () => asked.length === 1);
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  expect(await supervisor.client.call("kill", { params: { agent: agent.id } })).toMatchObject({ success: true });
  expect(await supervisor.signal_daemon("SIGTERM")).toBe(0);
  await supervisor.says("alerts were not delivered");
});
