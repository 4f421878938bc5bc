/**
 * The show: agents print numbered lines; the daemon is killed at random moments, in the middle of deploys and kills, and started again each
 * time. Afterwards every agent that was not told to end still runs, no log has a gap or a double line, and when all are killed nothing is left.
 */
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { gap_or_double } from "./numbered-lines.ts";
import { eventually, fixture, processes_marked, TestSupervisor } from "./supervisor.ts";

/** The latest moment after the work of a round has begun at which the daemon is killed: deploys and kills take less. In ms. */
const LATEST_MS = 600;

/** A small generator with a seed (mulberry32), so that a run can be had again. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export async function show_crashes(options: { agents: number; crashes: number; seed: number }): Promise<void> {
  console.log(`seed ${options.seed}`);
  const next = random(options.seed);
  const supervisor = await TestSupervisor.start();
  const begin = () => supervisor.deploy({ command: [fixture("prints-numbers"), "0.05"], grace_ms: 10_000 });
  const agents: AgentRecord[] = [];
  for (let i = 0; i < options.agents; i += 5)
    agents.push(...(await Promise.all(Array.from({ length: Math.min(5, options.agents - i) }, begin))));
  // A second name for each log, so that the whole of it can be read when the agent's own is deleted.
  const kept = join(supervisor.root, "kept");
  mkdirSync(kept);
  for (const agent of agents) linkSync(agent.tracked_files.log_file as string, join(kept, agent.id));

  for (let crash = 0; crash < options.crashes; crash++) {
    const doomed = await begin();
    // The kill may be heard or not: the doomed agent has ended, or runs on. Once it was answered, it has ended.
    let answered = false;
    const kill = supervisor.client.call("kill", { params: { agent: doomed.id } }).then(() => {
      answered = true;
    });
    const work = [kill, begin(), ...(crash % 2 ? [begin()] : [])].map((one) => one.catch((error: Error) => error));
    // Not a wait for anything: another moment in each round.
    await delay(next() * LATEST_MS);
    await supervisor.signal_daemon("SIGKILL");
    await Promise.all(work);
    await supervisor.boot();
    await eventually(`all to run on or to have ended after crash ${crash + 1}`, async () => {
      const all = await supervisor.client.call("list_agents", { query: { all: true } });
      return all.every((one) => one.receipt || (one.status === "running" && one.host_state === "connected"));
    });
    const now = new Map((await supervisor.client.call("list_agents")).map((one) => [one.id, one]));
    for (const agent of agents)
      expect(now.get(agent.id), `${agent.id} after crash ${crash + 1}`).toMatchObject({
        status: "running",
        process: agent.process,
      });
    if (answered) expect(now.has(doomed.id)).toBe(false);
  }

  const { receipts } = await supervisor.client.call("kill_many", { body: { all: true } });
  expect(receipts.length).toBeGreaterThanOrEqual(options.agents);
  const ours = new Set(agents.map((agent) => agent.id));
  for (const receipt of receipts) {
    expect(receipt).toMatchObject({ success: true });
    expect(receipt.cleanup).toMatchObject({ handles: "clear", survivors: [], files_deferred: [], files_failed: [] });
    if (!ours.has(receipt.agent_id)) continue;
    const log = readFileSync(join(kept, receipt.agent_id), "latin1");
    expect(gap_or_double(log), receipt.agent_id).toBeNull();
    expect(receipt.cleanup.bytes_logged).toBe(log.length);
  }
  const { tmux_socket } = await supervisor.client.call("health");
  // With this many ends at once tmux may be told later: the receipt says so, and the session goes when tmux answers.
  await eventually("every session to be gone", () => sessions(tmux_socket).length === 0);
  expect(processes_marked(supervisor.root).filter((one) => one.includes("prints-numbers"))).toEqual([]);
  const left = () =>
    readdirSync(supervisor.workspace, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile() && !one.parentPath.endsWith("/archive"))
      .map((one) => one.name)
      .filter(
        (name) => !/^(receipts\.jsonl|totals\.json|AGENT_REGISTRY\.json(\.bak)?|daemon\.json|\.gitignore)$/.test(name),
      );
  // A registry may just be being written, beside its place, while those who ended leave it.
  await eventually("no other file to be left", () => left().length === 0).catch((error: Error) => {
    throw new Error(`${error.message}: ${left().join(", ")}`);
  });
  expect(deleted_but_open(supervisor.workspace)).toEqual([]);
  await supervisor.dispose();
}

function sessions(tmux_socket: string): string[] {
  try {
    return execFileSync("tmux", ["-S", tmux_socket, "list-sessions"], { encoding: "utf8", stdio: "pipe" })
      .split("\n")
      .filter(Boolean);
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr);
    // A server without sessions may have been ended, or says nothing.
    if (/no server running|no sessions|error connecting|^$/.test(said.trim())) return [];
    throw error;
  }
}

/** Files of the workspace that have no name any more and are still open: lsof +L1. It exits 1 when there is none at all. */
function deleted_but_open(workspace: string): string[] {
  let text = "";
  try {
    text = execFileSync("lsof", ["-w", "-n", "-P", "+L1", "-F", "pn"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch (error) {
    text = String((error as { stdout?: unknown }).stdout ?? "");
  }
  return text.split("\n").filter((line) => line.startsWith(`n${workspace}/`));
}
