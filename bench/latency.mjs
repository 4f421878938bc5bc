// What one waits for: deploy → first byte and answer, kill → process gone and receipt, restart → adopted, the command line; beside
// the others, interleaved, while 0, 100, 400 other agents of ours idle.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pid_in, READY_AGENT } from "./lib/agents.mjs";
import { bars } from "./lib/chart.mjs";
import { at_most } from "./lib/goal.mjs";
import { in_lanes } from "./lib/lanes.mjs";
import { progress_of } from "./lib/progress.mjs";
import { fitting } from "./lib/room.mjs";
import { growth_row, median, regression, row } from "./lib/stats.mjs";
import { wall } from "./lib/wall.mjs";
import { gone, grown_to, next_file, start_time } from "./lib/watch.mjs";
import { MANAGERS } from "./systems/lists.mjs";
import { start_all } from "./systems/skipped.mjs";
import { SUPERVISOR, start_supervisor } from "./systems/supervisor.mjs";

const AT_ONCE = 20;
/** Deploys that run beside each other while the others are made. */
const LANES = 8;

export async function run({ rounds, others: asked, short, long }) {
  const fit = fitting(asked ?? (long ? [0, 100, 400] : short ? [0, 50] : [0, 100]), AT_ONCE);
  const levels = fit.levels;
  if (levels.length === 0) throw new Error(fit.skipped.join("; "));
  const turns = rounds ?? (short ? 7 : 11);
  const supervisor = await start_supervisor();
  const { systems: others, skipped } = await start_all(MANAGERS);
  const systems = [supervisor, ...others];
  const rows = [];
  const charts = [];
  const ours = [];
  let seed_gone = null;
  let cli = null;
  const cold = await very_first(supervisor);
  let running = 0;
  for (const level of levels) {
    running = await deploy_up_to(supervisor, running, level);
    const samples = new Map(systems.map(({ name }) => [name, { first_byte: [], answer: [], gone: [], receipt: [] }]));
    for (let turn = 0; turn < turns; turn++) {
      for (const system of systems) await one_life(system, `l${level}x${turn}`, samples.get(system.name));
    }
    const together = [];
    const each = [];
    for (let turn = 0; turn < Math.min(turns, 3); turn++) await end_together(supervisor, turn, together, each);
    const adopted = await restarts(supervisor, Math.min(turns, 5), level);
    cli = await command_line(supervisor, others, Math.min(turns, 7));
    const words = {
      first_byte: "deploy → first byte",
      answer: "deploy → answer",
      gone: "kill → process gone",
      receipt: "kill → receipt, or what the system says",
    };
    for (const [kind, word] of Object.entries(words)) {
      const some = systems.map(({ name }) => row(name, samples.get(name)[kind], { unit: "ms" }));
      rows.push(...some.map((one) => ({ ...one, name: `${word}, ${level} others: ${one.name}` })));
      charts.push({ title: `${word}, ${level} other agents`, unit: "ms", log: true, bars: bars(some) });
    }
    rows.push(row(`${AT_ONCE} kills at once, all receipts, ${level} others`, together, { unit: "ms" }));
    rows.push(row(`restart → ready, all adopted, ${level} others`, adopted, { unit: "ms", digits: 0 }));
    rows.push(...cli.map((one) => ({ ...one, name: `${one.name}, ${level} others` })));
    const mine = samples.get("supervisor");
    ours.push({ level, mine, together, adopted, cli });
    seed_gone ??= median(samples.get(others[0].name).gone);
  }
  const [bare, most] = [ours[0], ours.at(-1)];
  for (const [name, kind] of [
    ["deploy → first byte", "first_byte"],
    ["kill → receipt", "receipt"],
  ]) {
    const points = ours.flatMap(({ level, mine }) => mine[kind].map((ms) => [level, ms]));
    rows.push(growth_row(`${name}: growth`, regression(points), "ms", "other agent", 4));
  }
  const adoption = ours.flatMap(({ level, adopted }) => adopted.map((ms) => [level, ms]));
  rows.push(growth_row("restart → adopted: growth", regression(adoption), "ms", "agent", 2));
  const [node, ps] = bare.cli;
  return {
    title: "latency (ms)",
    rows,
    charts: [
      ...charts,
      { title: `the command line, wall time, ${most.level} agents`, unit: "ms", bars: bars(most.cli) },
    ],
    skipped: [...skipped, ...fit.skipped],
    notes: [
      "a process is looked for each millisecond: kill → gone may be too long by that, for all systems alike",
      "the others verify nothing; pm2 and supervisord leave the logs, which are removed here in their time",
      "all systems are measured on the same machine at the same time: other agents of ours are around the others as well",
    ],
    goals: [
      at_most("kill → gone, beside the seed's (ratio)", median(bare.mine.gone) / seed_gone, 3),
      at_most("kill → receipt, no others (ms)", median(bare.mine.receipt), 100),
      at_most(`${AT_ONCE} kills at once, no others (ms)`, median(bare.together), 300),
      ...(ours.length > 1 ? ours.slice(1) : [null]).map((more) =>
        at_most(
          `kill → receipt with ${more?.level ?? "no"} others, beside none (ratio)`,
          more ? median(more.mine.receipt) / median(bare.mine.receipt) : null,
          1.5,
        ),
      ),
      at_most("deploy → first byte, warm (ms)", median(bare.mine.first_byte), 25),
      at_most("deploy → first byte, the very first after the start (ms)", cold, 150),
      at_most("command line ps (ms)", ps.median, 120),
      at_most("command line ps, beside 1.5 × node -e 0 + 50 ms (ratio)", ps.median / (1.5 * node.median + 50), 1),
    ],
  };
}

/** One deploy and one kill, both timed from the request. The watch on the logs begins before. */
async function one_life(system, id, samples) {
  // A warm deploy has a spare host; its successor boots while the agent runs, and must not be measured with the kill.
  await system.spare?.();
  const log = next_file(system.logs, (name) => name.endsWith(system.log_suffix) && !before.has(name));
  const began = performance.now();
  const seen = log.found.then(() => performance.now() - began);
  let agent;
  try {
    const answer = system.deploy(id, READY_AGENT).then((result) => {
      agent = result;
      return performance.now() - began;
    });
    const [first_byte, answered] = await Promise.all([seen, answer]);
    samples.first_byte.push(first_byte);
    samples.answer.push(answered);
  } finally {
    log.stop();
  }
  const pid = pid_in(await readFile(agent.log, "utf8"));
  const started = start_time(pid);
  if (system.report) await system.report(agent);
  await system.spare?.();
  const asked = performance.now();
  const went = gone(pid, started).then(() => performance.now() - asked);
  await system.kill(agent);
  samples.receipt.push(performance.now() - asked);
  samples.gone.push(await went);
}
const before = new Set();

/** The first byte of the first deploy, asked for the moment the supervisor is ready: its spare host has just begun to boot. */
async function very_first(supervisor) {
  await supervisor.crash();
  await supervisor.restart();
  const log = next_file(supervisor.logs, (name) => name.endsWith(supervisor.log_suffix));
  const began = performance.now();
  const [first_byte, agent] = await Promise.all([
    log.found.then(() => performance.now() - began),
    supervisor.deploy("first", READY_AGENT),
  ]);
  await supervisor.kill(agent);
  return first_byte;
}

async function deploy_up_to(supervisor, from, to) {
  const tell = progress_of("latency", to - from, "other agents");
  let running = 0;
  await in_lanes(to - from, LANES, async () => {
    const agent = await supervisor.deploy("other", READY_AGENT);
    await grown_to(agent.log);
    before.add(agent.log.split("/").at(-1));
    tell(++running);
  });
  return to;
}

async function end_together(supervisor, turn, together) {
  const agents = [];
  for (let i = 0; i < AT_ONCE; i++) agents.push(await supervisor.deploy(`t${turn}x${i}`, READY_AGENT));
  await Promise.all(agents.map(({ log }) => grown_to(log)));
  await supervisor.spare();
  const asked = performance.now();
  await Promise.all(agents.map((agent) => supervisor.kill(agent)));
  together.push(performance.now() - asked);
}

/** From the process's first moment to its ready line; by then all must be connected. */
async function restarts(supervisor, turns, level) {
  const samples = [];
  for (let turn = 0; turn < turns; turn++) {
    await supervisor.crash();
    const began = performance.now();
    await supervisor.restart();
    samples.push(performance.now() - began);
    const connected = (await supervisor.call("GET", "/v1/agents")).filter(
      (one) => one.host_state === "connected",
    ).length;
    if (connected !== level)
      throw new Error(`${connected} of ${level} agents were adopted when the supervisor was ready`);
  }
  return samples;
}

/** Wall time of whole commands, `node -e 0` as their floor. */
async function command_line(supervisor, others, turns) {
  const agent = await supervisor.deploy("cli", READY_AGENT);
  await grown_to(agent.log);
  const ours = (...args) => [
    process.execPath,
    [SUPERVISOR, ...args, "--workspace", supervisor.workspace],
    supervisor.env,
  ];
  const report = ["progress", "--agent", agent.id, "--status", "working", "--message", "half"];
  const commands = new Map([
    ["node -e 0", [process.execPath, ["-e", "0"], process.env]],
    ["supervisor ps", ours("ps")],
    ["supervisor progress", ours(...report)],
  ]);
  if (others.some(({ name }) => name.startsWith("pm2"))) {
    const bin = createRequire(import.meta.url).resolve("pm2/bin/pm2");
    commands.set("pm2 ls", [process.execPath, [bin, "ls"], process.env]);
  }
  const samples = new Map([...commands.keys()].map((name) => [name, []]));
  for (let turn = 0; turn < turns; turn++) {
    for (const [name, command] of commands) samples.get(name).push(await wall(...command));
  }
  await supervisor.kill(agent);
  return [...samples].map(([name, some]) => row(name, some, { unit: "ms", digits: 0 }));
}
