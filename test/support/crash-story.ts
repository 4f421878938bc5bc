/**
 * Crashes on purpose: a process of the supervisor dies at a named point (src/faults/crash-point.ts) in the middle of a story, the next daemon
 * takes up what it left, and everything is looked at: who runs, what has a receipt, what is left.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import { CRASH_POINTS, type CrashPoint } from "../../src/faults/crash-point.ts";
import { gap_or_double } from "./numbered-lines.ts";
import { eventually, fixture, TestSupervisor } from "./supervisor.ts";

/** What is done until the point is reached. `exit` ends with an archive, `kill` with deletion; in `retire` nothing is kept beyond that; `spare` is with a
 * spare host, `cold` without; in `stop` nothing is deployed. */
type Story =
  | "rotates"
  | "limited"
  | "half_rotated"
  | "tmux_dies"
  | "registry_lost"
  | "queue"
  | "queue_host"
  | "kill"
  | "exit"
  | "fails"
  | "adopt"
  | "exit_unseen"
  | "host_lost"
  | "sweep"
  | "retire"
  | "spare"
  | "cold"
  | "stop";
const PRINTED = 6 + 20_480;

/** The stories in which a point is passed; each is played once. */
function stories_of(point: CrashPoint): Story[] {
  if (/^deploy\.(running_recorded|launched|launch_asked)$/.test(point)) return ["kill", "exit"];
  if (/^deploy\.(link_closed|session_removed|files_removed|entry_removed)$/.test(point)) return ["fails"];
  if (point === "deploy.session_started") return ["cold"];
  if (point === "spare.dismissed") return ["stop"];
  if (/^spare\.(taken|became|renamed)$|^host\.became$/.test(point)) return ["spare"];
  if (/^(task|deploy|spare)\./.test(point)) return ["kill"];
  if (/^(host\.part_|rotation\.)/.test(point)) return ["rotates"];
  if (point === "limit.host_told") return ["limited"];
  if (point === "end.rotation_undone") return ["half_rotated"];
  if (/^pane\./.test(point)) return ["tmux_dies"];
  if (point === "reconcile.host_taken_in") return ["registry_lost"];
  if (point === "queue.host_ended") return ["queue_host"];
  if (/^queue\./.test(point)) return ["queue"];
  if (point === "reconcile.exit_record_found") return ["exit_unseen"];
  if (point === "reconcile.launch_recorded") return ["adopt"];
  if (/^(start|reconcile)\./.test(point)) return ["adopt"];
  if (point === "end.family_ended") return ["host_lost"];
  if (/^end\.file_(copied|archived)$/.test(point)) return ["exit"];
  if (/^(leave|journal)\.|^sweep\.archive/.test(point)) return ["retire"];
  if (/^sweep\./.test(point)) return ["sweep"];
  return ["kill", "exit"];
}

/** Plays one story with one point armed, and returns when the next daemon has taken everything up. */
async function crash_at(supervisor: TestSupervisor, point: CrashPoint, story: Story, mark: string): Promise<void> {
  const { env } = supervisor;
  const boot = async (armed: string | null) => {
    if (armed) env.SUPERVISOR_CRASH_AT = armed;
    else delete env.SUPERVISOR_CRASH_AT;
    await supervisor.boot().catch((error) => {
      if (!armed) throw error;
    });
  };
  const died = async (what: string) => {
    await eventually(`the daemon to die at ${what}`, () => supervisor.daemon_exited);
    supervisor.forget_daemon();
  };
  const quiet = <T>(work: Promise<T>) => work.catch(() => null);
  const idles = () => supervisor.deploy({ command: [fixture("prints-on-term")], mcp: point === "deploy.log_written" });
  const rotates = (...before: string[]) =>
    supervisor.deploy({
      command: ["sh", "-c", `${before.join("; ")}exec "$@"`, "sh", fixture("prints-numbers"), "0.001"],
      log_max_bytes: 4096,
    });
  const armed = `${point}:${mark}`;

  if (story === "queue" || story === "queue_host") {
    const config = join(supervisor.root, "supervisor.config.json");
    writeFileSync(config, JSON.stringify({ limits: { max_concurrent: 1 } }));
    // What is put back was admitted before by a daemon that died over it.
    const host = story === "queue_host" || point === "queue.requeued";
    await boot(host ? `queue.admitted:${mark}.first` : armed);
    const first = await idles();
    await quiet(supervisor.deploy({ command: [fixture("prints-and-exits"), "20480"] }));
    await quiet(supervisor.client.call("kill", { params: { agent: first.id } }));
    if (host) {
      await died("queue.admitted");
      await boot(armed);
    }
    rmSync(config);
  } else if (story === "half_rotated") {
    // The host dies in the middle of a rotation while no supervisor runs.
    await boot(`host.part_named:${mark}.first`);
    const go = `${mark}.go`;
    await rotates(`until [ -e '${go}' ]; do sleep 0.02; done; `);
    await supervisor.signal_daemon("SIGKILL");
    writeFileSync(go, "");
    await eventually("the host to die in the middle", () => existsSync(`${mark}.first`));
    await boot(armed);
  } else if (story === "tmux_dies") {
    await boot(armed);
    await idles();
    const { tmux_socket } = await supervisor.client.call("health");
    // A server that is told to end while a session is being started refuses everybody until that session has ended (docs/tmux.md).
    await supervisor.spare();
    await supervisor.shell(`tmux -S ${tmux_socket} kill-server`);
  } else if (story === "registry_lost") {
    await boot(null);
    const { task_id } = await idles();
    await supervisor.signal_daemon("SIGKILL");
    rmSync(join(supervisor.workspace, task_id as string), { recursive: true });
    await boot(armed);
  } else if (story === "adopt" && point === "reconcile.launch_recorded") {
    await boot(`deploy.launched:${mark}.first`);
    await quiet(idles());
    await died("deploy.launched");
    await boot(armed);
  } else if (story === "adopt" || story === "exit_unseen") {
    await boot(null);
    const agent = await idles();
    await supervisor.printed(agent, "ready");
    await supervisor.signal_daemon("SIGKILL");
    if (story === "exit_unseen") {
      process.kill(agent.process?.pid as number, "SIGTERM");
      const record = join(supervisor.workspace, agent.task_id as string, "exits", `${agent.id}.json`);
      // Before it has left its host would be heard, and the record not be needed.
      await eventually(
        "the exit record, and its host's end",
        () => existsSync(record) && !is_alive(agent.host as ProcessRef),
      );
    }
    await boot(armed);
  } else {
    await boot(armed);
    if (story === "spare") {
      // A deploy does not wait long for a spare that is slow: then the next one takes it.
      await eventually(`a deploy to reach ${point}`, async () => {
        await supervisor.spare();
        await quiet(idles());
        return existsSync(mark);
      });
    } else if (story === "stop") {
      await supervisor.spare();
      await quiet(supervisor.client.call("stop", { body: {} }));
    } else if (story === "rotates") await quiet(rotates());
    else if (story === "limited") {
      const { id } = await idles();
      await quiet(supervisor.client.call("set_log_limit", { params: { agent: id }, body: { log_max_bytes: 4096 } }));
    } else if (story === "fails") await quiet(supervisor.deploy({ command: ["/bin/sleep", "x".repeat(200_000)] }));
    else if (story === "retire") {
      const agent = await quiet(supervisor.deploy({ command: [fixture("prints-and-exits"), "20480"] }));
      if (agent) await quiet(supervisor.client.call("wait", { params: { agent: agent.id } }));
      await quiet(supervisor.client.call("gc", { body: {} }));
    } else if (story === "exit") await quiet(supervisor.deploy({ command: [fixture("prints-and-exits"), "20480"] }));
    else {
      const agent = await quiet(idles());
      if (agent) await play(supervisor, agent, story);
    }
  }
  // The mark is there a moment before its content is.
  await eventually(`${point} to be reached`, () => existsSync(mark) && readFileSync(mark, "utf8") !== "");
  expect(readFileSync(mark, "utf8")).toBe(point);
  if (!point.startsWith("host.")) {
    await died(point);
    await boot(null);
  }
}

async function play(supervisor: TestSupervisor, agent: AgentRecord, story: Story): Promise<void> {
  // A host that dies at once takes the agent along: then there is nothing to wait for.
  await eventually("the agent to be ready, or gone", async () => {
    if ((await supervisor.log_text(agent)).includes("ready") || supervisor.daemon_exited) return true;
    return supervisor.registry_on_disk().some((one) => one.id === agent.id && one.receipt);
  });
  const kill = () => supervisor.client.call("kill", { params: { agent: agent.id } }).catch(() => null);
  if (story === "kill" || story === "cold") await kill();
  if (story === "host_lost") {
    const { host } = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
    process.kill(host?.pid as number, "SIGKILL");
  }
  if (story === "sweep") {
    const { openSync, closeSync } = await import("node:fs");
    const fd = openSync(agent.tracked_files.log_file as string, "r");
    await kill();
    closeSync(fd);
    await supervisor.client.call("gc", { body: {} }).catch(() => null);
  }
}

/** Everybody runs or has a receipt; then all are ended, and nothing is left but registries and archives. */
async function nothing_is_left(supervisor: TestSupervisor, known: Set<string>, what: string): Promise<void> {
  const list = () => supervisor.client.call("list_agents", { query: { all: true } });
  // Who ends by itself is waited for: killed in the middle of its output it would have printed less than it was to print.
  const ends_by_itself = ({ command }: AgentRecord) => command[0]?.endsWith("prints-and-exits");
  await eventually(`every agent to run or to have its receipt after ${what}`, async () =>
    (await list()).every((agent) => agent.receipt || (agent.status === "running" && !ends_by_itself(agent))),
  );
  for (const agent of await list()) if (!known.has(agent.id)) await expect_no_gap(supervisor, agent, what);
  await supervisor.client.call("kill_many", { body: { all: true } });
  await supervisor.client.call("gc", { body: {} });
  for (const agent of await list()) {
    const { id, receipt } = agent;
    if (known.has(id)) continue;
    known.add(id);
    expect(receipt, `${id} after ${what}`).toBeTruthy();
    const { cleanup, exit, cause } = receipt as NonNullable<typeof receipt>;
    expect(cleanup, `${id} after ${what}`).toMatchObject({
      handles: "clear",
      survivors: [],
      files_deferred: [],
      files_failed: [],
    });
    const named = [...cleanup.files_deleted, ...cleanup.files_archived];
    expect(new Set(named).size, `each file once after ${what}`).toBe(named.length);
    if (!cleanup.bytes_accounted || exit.at === null) continue;
    // An agent that was ended before it had its handler prints less; one that exits by itself prints all.
    if (ends_by_itself(agent)) expect(cleanup.bytes_logged, `${id} (${cause}) after ${what}`).toBe(20_480);
    else if (exit.code === 0) expect(cleanup.bytes_logged, `${id} after ${what}`).toBe(PRINTED);
  }
  const left = () =>
    readdirSync(supervisor.workspace, { recursive: true, withFileTypes: true })
      .filter(
        (entry) =>
          !entry.isDirectory() &&
          !/\.gz$|_receipt\.json$|^receipts\.jsonl$|^AGENT_REGISTRY\.json(\.bak)?$|^daemon\.json$|^totals\.json$|^\.gitignore$/.test(
            entry.name,
          ),
      )
      .map((entry) => join(entry.parentPath, entry.name));
  // A registry may just be being written, beside its place.
  await eventually(`no file to be left after ${what}`, () => left().length === 0).catch((error) => {
    throw new Error(`${error.message}: ${left().join(", ")}`);
  });
  const { runtime_dir } = await supervisor.client.call("health");
  const others = () => readdirSync(runtime_dir).filter((name) => !/^(d\.sock|t\.sock|tmux\.conf|canary)$/.test(name));
  // One spare host, or none where none is wanted; and nothing of any other.
  const spares = /^host\.listening|\(cold\)/.test(what) ? 0 : 1;
  const state = async () => ({ files: others(), sessions: await supervisor.sessions(), spares: supervisor.spares() });
  await eventually(`nothing but ${spares} spare hosts to be left after ${what}`, async () => {
    const { files, sessions, spares: waiting } = await state();
    const names = waiting.map(({ socket }) => basename(socket));
    return waiting.length === spares && `${files}` === `${names}` && `${sessions}` === `${waiting.map(({ id }) => id)}`;
  }).catch(async (error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await state())}`);
  });
}

/** Of an agent that prints numbers: they are all there, in their order, in whatever files its log is. */
async function expect_no_gap(supervisor: TestSupervisor, agent: AgentRecord, what: string): Promise<void> {
  if (!agent.command.includes(fixture("prints-numbers")) || agent.receipt?.cleanup.files_deleted.length) return;
  const chunks: Buffer[] = [];
  for await (const chunk of await supervisor.client.stream("logs", { params: { agent: agent.id } }))
    chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  expect(text.length, `the log of ${agent.id} after ${what}`).toBeGreaterThan(4_000);
  expect(gap_or_double(text), `the log of ${agent.id} after ${what}`).toBeNull();
}

/** A point, and what is done until it is reached. */
export interface CrashCase {
  point: CrashPoint;
  story: Story;
}

/** Every point in every story that passes it. */
export const ALL_CASES: CrashCase[] = CRASH_POINTS.flatMap((point) =>
  stories_of(point).map((story) => ({ point, story })),
);

const NOTHING_IS_KEPT = { retention: { ended_in_registry: 0, max_bytes: 0, receipts_max_bytes: 0 } };
TestSupervisor.spare_hosts = "default";
/** Workspaces in which points are tried side by side. */
const LANES = 4;
/** Plays every case. Returns what was not recovered from, in words. */
export async function crash_at_each(cases: CrashCase[]): Promise<string[]> {
  const queue = cases.entries();
  const failures: string[] = [];
  const lane = async () => {
    let supervisor = await TestSupervisor.prepare();
    const known = new Set<string>();
    for (const [index, { point, story }] of queue) {
      const what = `${point} (${story})`;
      const config = join(supervisor.root, "supervisor.config.json");
      try {
        // The first task is made once in a workspace.
        if (point.startsWith("task.")) {
          await supervisor.dispose();
          supervisor = await TestSupervisor.prepare();
        }
        if (story === "cold") writeFileSync(config, JSON.stringify({ spare_hosts: 0 }), { mode: 0o600 });
        if (story === "retire") writeFileSync(config, JSON.stringify(NOTHING_IS_KEPT), { mode: 0o600 });
        await crash_at(supervisor, point, story, join(supervisor.root, `mark-${index}`));
        await nothing_is_left(supervisor, known, what);
        await supervisor.signal_daemon("SIGTERM");
        rmSync(config, { force: true });
      } catch (error) {
        failures.push(`${what}: ${(error as Error).message}`);
        await supervisor.dispose().catch((again) => failures.push(`${what}: ${(again as Error).message}`));
        supervisor = await TestSupervisor.prepare();
      }
    }
    await supervisor.dispose();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return failures;
}
