// Reports of agents: how many a second the supervisor takes and none lost, with 10 and more agents in one task, and how long until
// one is in the registry on disk. Beside it the seed's way, which rewrites the whole registry with each report.

import { watch } from "node:fs";
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { READY_AGENT } from "./lib/agents.mjs";
import { bars } from "./lib/chart.mjs";
import { at_least, at_most } from "./lib/goal.mjs";
import { in_lanes } from "./lib/lanes.mjs";
import { progress_of } from "./lib/progress.mjs";
import { fitting } from "./lib/room.mjs";
import { growth_row, median, regression, row } from "./lib/stats.mjs";
import { in_time, temporary_directory } from "./lib/undo.mjs";
import { start_supervisor } from "./systems/supervisor.mjs";

/** Callers at once. */
const CALLERS = 32;
const LANES = 8;

export async function run({ rounds, short, long }) {
  const fit = fitting(long ? [10, 100, 1000] : short ? [10, 50] : [10, 100]);
  const levels = fit.levels;
  if (levels.length === 0) throw new Error(fit.skipped.join("; "));
  const turns = rounds ?? (short ? 3 : 5);
  const reports = short ? 2_000 : 5_000;
  const supervisor = await start_supervisor();
  const root = temporary_directory("sv-reports-");
  const agents = [];
  const sent = new Map();
  const rows = [];
  const speeds_by_level = [];
  let lost = 0;
  for (const level of levels) {
    await deploy_up_to(supervisor, agents, level);
    const speeds = [];
    const durable = [];
    const seed = [];
    const appended = [];
    for (let turn = 0; turn < turns; turn++) {
      speeds.push(await send(supervisor, agents, reports, sent));
      for (let i = 0; i < 3; i++)
        durable.push(await until_durable(supervisor, agents[i], `durable ${level} ${turn} ${i}`, sent));
      seed.push(await seeds_way(join(root, `${level}-${turn}`), level, Math.min(reports, 1000)));
      appended.push(await append_alone(join(root, `a${level}-${turn}`), level, Math.min(reports, 2000)));
    }
    lost = 0;
    for (const agent of agents) {
      const lines = (await readFile(agent.record.tracked_files.progress_file, "utf8")).split("\n").filter(Boolean);
      lines.forEach(JSON.parse);
      lost += Math.abs(sent.get(agent.id) - lines.length);
    }
    rows.push(
      row(`supervisor, ${level} agents: reports through the socket`, speeds, { unit: "/s", digits: 0 }),
      row(`seed's way in one process, ${level} agents`, seed, { unit: "/s", digits: 0 }),
      row(`appends alone (the limit), ${level} agents`, appended, { unit: "/s", digits: 0 }),
      row(`supervisor, ${level} agents: report → in the registry on disk`, durable, { unit: "ms" }),
    );
    speeds_by_level.push({ level, speeds, durable });
  }
  const slope = (key) => regression(speeds_by_level.flatMap((one) => one[key].map((value) => [one.level, value])));
  const speed_rows = rows.filter(({ unit }) => unit === "/s");
  const durable_rows = rows.filter(({ unit }) => unit === "ms");
  rows.push(growth_row("reports a second: growth", slope("speeds"), "/s", "agent", 2));
  rows.push(growth_row("report → registry on disk: growth", slope("durable"), "ms", "agent", 3));
  rows.push({ name: "reports lost or doubled, of all sent", figure: String(lost), value: lost });
  return {
    title: `registry: reports of agents, ${CALLERS} callers at once`,
    rows,
    charts: [
      { title: "reports", unit: "a second", log: true, bars: bars(speed_rows) },
      { title: "report → in the registry on disk", unit: "ms", bars: bars(durable_rows) },
    ],
    skipped: fit.skipped,
    notes: [
      "the client is a part of what is measured: it is one Node process on the same cores",
      "the seed's way has no socket, no check and no sync: it reads, changes and rewrites AGENT_REGISTRY.json for each report",
    ],
    goals: [
      ...speeds_by_level.map(({ level, speeds }) =>
        at_least(`reports a second, ${level} agents`, median(speeds), 2000),
      ),
      at_most("reports lost or doubled", lost, 0),
    ],
  };
}

async function deploy_up_to(supervisor, agents, to) {
  const from = agents.length;
  const tell = progress_of("registry", to - from, "agents deployed");
  await in_lanes(to - from, LANES, async () => {
    agents.push(await supervisor.deploy("r", READY_AGENT));
    tell(agents.length - from);
  });
}

const report = (supervisor, agent, message, sent) => {
  sent.set(agent.id, (sent.get(agent.id) ?? 0) + 1);
  return supervisor.call("POST", `/v1/agents/${agent.id}/progress`, { status: "working", message, progress: 50 });
};

async function send(supervisor, agents, count, sent) {
  const seconds = await in_lanes(count, CALLERS, (at) =>
    report(supervisor, agents[at % agents.length], `step ${at}`, sent),
  );
  return count / seconds;
}

/** From the request until a registry with the message in it is in its place, seen by a watch on its directory. */
async function until_durable(supervisor, agent, message, sent) {
  const file = join(supervisor.task, "AGENT_REGISTRY.json");
  const watcher = watch(supervisor.task);
  try {
    const seen = new Promise((resolve, reject) => {
      watcher.on("change", (_kind, name) => {
        if (name !== "AGENT_REGISTRY.json") return;
        const at = performance.now();
        readFile(file, "utf8").then((text) => text.includes(message) && resolve(at), reject);
      });
    });
    const began = performance.now();
    await report(supervisor, agent, message, sent);
    return (await in_time(seen, () => `'${message}' in ${file}`)) - began;
  } finally {
    watcher.close();
  }
}

async function seeds_way(directory, agents, count) {
  await mkdir(directory);
  const file = join(directory, "AGENT_REGISTRY.json");
  const entry = (_, i) => ({
    id: `agent-${i}`,
    type: "agent",
    status: "running",
    progress: 0,
    last_update: "",
    prompt: "x".repeat(200),
    tracked_files: { log_file: "x".repeat(80) },
  });
  await writeFile(file, JSON.stringify({ agents: Array.from({ length: agents }, entry) }, null, 2));
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const now = new Date().toISOString();
    await appendFile(
      join(directory, `${i % agents}_progress.jsonl`),
      `${JSON.stringify({ timestamp: now, status: "working", message: `step ${i}` })}\n`,
    );
    const registry = JSON.parse(await readFile(file, "utf8"));
    Object.assign(registry.agents[i % agents], { progress: 50, last_update: now, status: "working" });
    await writeFile(file, JSON.stringify(registry, null, 2));
  }
  return (count * 1000) / (performance.now() - began);
}

async function append_alone(directory, agents, count) {
  await mkdir(directory);
  const began = performance.now();
  for (let i = 0; i < count; i++)
    await appendFile(join(directory, `${i % agents}`), `${JSON.stringify({ message: `step ${i}` })}\n`);
  return (count * 1000) / (performance.now() - began);
}
