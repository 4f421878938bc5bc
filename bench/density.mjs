// What idle agents cost beyond themselves: memory of everything that is there for them (PSS), CPU of everything over a minute, and the
// time to deploy and to end them all.
import { setTimeout as delay } from "node:timers/promises";
import { READY_AGENT } from "./lib/agents.mjs";
import { bars } from "./lib/chart.mjs";
import { at_most } from "./lib/goal.mjs";
import { in_lanes } from "./lib/lanes.mjs";
import { cpu_ms, processes_of, pss_mb } from "./lib/proc.mjs";
import { fitting } from "./lib/room.mjs";
import { growth_row, median, regression, row } from "./lib/stats.mjs";
import { grown_to } from "./lib/watch.mjs";
import { MANAGERS } from "./systems/lists.mjs";
import { start_all } from "./systems/skipped.mjs";
import { start_supervisor } from "./systems/supervisor.mjs";

/** Deploys and kills at once. */
const LANES = 8;
/** The agents themselves: what they cost is theirs. */
const AGENT = "sleep";

export async function run({ rounds, short, long }) {
  const fit = fitting(long ? [20, 100, 400, 1000] : short ? [10, 40] : [20, 100, 400]);
  const levels = fit.levels;
  if (levels.length === 0) throw new Error(fit.skipped.join("; "));
  const turns = rounds ?? 1;
  // The length of the minute: the sweeper of the supervisor comes once in it, so that a shorter time would flatter.
  const idle_ms = short ? 15_000 : 60_000;
  const rows = [];
  const per_agent = [];
  const idle = [];
  const ours = new Map();
  let skipped = [];
  const growth = new Map();
  for (const level of levels) {
    const samples = new Map();
    console.error(`bench: density: ${level} agents`);
    for (let turn = 0; turn < turns; turn++) {
      for (const start of [start_supervisor, ...MANAGERS]) {
        const started = await start_all([start]);
        skipped = [...new Set([...skipped, ...started.skipped])];
        const [system] = started.systems;
        if (!system) continue;
        // The wait is the measurement. The others have nothing that wakes up at idle but their own timers; they get a quarter of it.
        const one = await measure(system, level, system.name === "supervisor" ? idle_ms : idle_ms / 4);
        await system.stop();
        if (!samples.has(system.name)) samples.set(system.name, []);
        samples.get(system.name).push(one);
        if (!growth.has(system.name)) growth.set(system.name, []);
        growth.get(system.name).push([level, one.all_mb]);
      }
    }
    for (const [name, some] of samples) {
      const of = (key, options) =>
        row(
          `${name}, ${level} agents: ${WORDS[key]}`,
          some.map((one) => one[key]),
          options,
        );
      rows.push(
        of("per_agent_mb", { unit: "MB", digits: 2 }),
        of("manager_mb", { unit: "MB" }),
        of("cpu_percent", { unit: "% of a core", digits: 2 }),
      );
      // What a start leaves to be done is over by then: V8 collects a host's garbage once, after 8 s.
      if (some[0].later_percent !== null) rows.push(of("later_percent", { unit: "% of a core", digits: 2 }));
      rows.push(of("deploy_s", { unit: "s" }), of("end_s", { unit: "s" }));
      const label = `${name}, ${level}`;
      per_agent.push({ ...bars([of("per_agent_mb", {})])[0], label });
      idle.push({ ...bars([of("cpu_percent", {})])[0], label });
    }
    ours.set(level, samples.get("supervisor"));
  }
  for (const [name, points] of growth)
    rows.push(growth_row(`${name}: memory of everything`, regression(points), "MB", "agent", 2));
  // The goals are for these sizes; at others the manager's share is another.
  const at = (level, key) => (ours.has(level) ? median(ours.get(level).map((one) => one[key])) : null);
  return {
    title: `density: ${levels.join(", ")} idle agents`,
    rows,
    charts: [
      {
        title: "memory for each agent beyond itself, manager's share included",
        unit: "MB (PSS)",
        log: true,
        bars: per_agent,
      },
      { title: "CPU of everything at idle", unit: "% of a core", bars: idle },
    ],
    skipped: [...skipped, ...fit.skipped],
    notes: [
      `idle for ${idle_ms / 1000} s after the last deploy (the others ${idle_ms / 4000} s), and the supervisor as long again; the goal is judged by the first; CPU has ticks of 10 ms for each process and counts children that were waited for`,
      "everything but the agents' own processes is counted: manager, tmux server, hosts and the spare one, shells, tee",
    ],
    goals: [
      at_most("memory per agent, 100 idle (MB)", at(100, "per_agent_mb"), 9),
      at_most("idle CPU, 400 agents (% of one core)", at(400, "cpu_percent"), 1),
    ],
  };
}

const WORDS = {
  per_agent_mb: "memory an agent",
  manager_mb: "memory of the manager",
  cpu_percent: "CPU at idle",
  later_percent: "CPU at idle, as long again",
  deploy_s: "to deploy all",
  end_s: "to end all",
};

async function measure(system, count, idle_ms) {
  const agents = [];
  const deploy_s = await in_lanes(count, LANES, async (at) => {
    const agent = await system.deploy(`d${at}`, READY_AGENT);
    await grown_to(agent.log);
    agents.push(agent);
  });
  await system.spare?.();
  const all = (await processes_of(system.root)).filter(({ command }) => command !== AGENT);
  const busy = async () => (await Promise.all(all.map(({ pid }) => cpu_ms(pid)))).reduce((sum, ms) => sum + ms, 0);
  const idle = async () => {
    const before = await busy();
    const began = performance.now();
    await delay(idle_ms);
    return (100 * ((await busy()) - before)) / (performance.now() - began);
  };
  const cpu_percent = await idle();
  const memory = await Promise.all(all.map(async ({ pid }) => ({ pid, mb: await pss_mb(pid) })));
  const all_mb = memory.reduce((sum, { mb }) => sum + mb, 0);
  const manager_mb = memory.find(({ pid }) => pid === system.pid?.())?.mb ?? 0;
  const later_percent = system.name === "supervisor" ? await idle() : null;
  const end_s = await in_lanes(count, LANES, (at) => system.kill(agents[at]));
  return { per_agent_mb: all_mb / count, all_mb, manager_mb, cpu_percent, later_percent, deploy_s, end_s };
}
