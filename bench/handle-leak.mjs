// Many cycles of deploy, print, end, some at once: what is left of the agents (files, sockets, sessions, processes, deleted files that
// are held open), and the manager's descriptors and memory over the cycles. Four kinds of agents take turns: one that obeys, one that
// ends by itself, one that ignores TERM, and one with helpers in other sessions. The same agents under the others show what leaks there.
import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";
import { DEAF_AGENT, ESCAPING_AGENT, PASSING_AGENT, pid_in, READY_AGENT } from "./lib/agents.mjs";
import { at_most } from "./lib/goal.mjs";
import { descriptors, end_leftovers, processes_of, pss_mb } from "./lib/proc.mjs";
import { batch_means, growth_row, regression } from "./lib/stats.mjs";
import { run_file } from "./lib/undo.mjs";
import { gone, grown_to, start_time } from "./lib/watch.mjs";
import { start_pm2 } from "./systems/pm2.mjs";
import { start_all } from "./systems/skipped.mjs";
import { start_supervisor } from "./systems/supervisor.mjs";
import { start_supervisord } from "./systems/supervisord.mjs";
import { start_seed } from "./systems/tmux.mjs";

const KINDS = {
  obeys: READY_AGENT,
  "ends by itself": PASSING_AGENT,
  "ignores TERM": DEAF_AGENT,
  "has escapees": ESCAPING_AGENT,
};
/** So that the kinds take turns over all rounds of a system, however short a round is. */
const serials = new Map();
/** Cycles at once. */
const LANES = 4;
/** For agents that ignore TERM; the others have no such figure to set, or their own. In ms. */
const GRACE_MS = 200;
/** What is loaded and cached at first use is no leak. */
const WARM_UP = 24;

export async function run({ cycles, short, long }) {
  const count = cycles ?? (long ? 10_000 : short ? 60 : 200);
  const beside = Math.min(count, long ? 200 : short ? 8 : 40);
  const supervisor = await start_supervisor();
  const { systems: others, skipped } = await start_all([start_seed, start_pm2, start_supervisord]);
  const rows = [];
  const left_bars = [];
  await run_cycles(supervisor, WARM_UP, "w");
  const before = await inventory(supervisor);
  // Rounds, so that ours and the others are measured at the same times.
  const samples = [];
  const states = new Map();
  for (const system of others) states.set(system, { before: await inventory(system), refused: 0 });
  const rounds = 4;
  for (let round = 0; round < rounds; round++) {
    await run_cycles(supervisor, Math.ceil(count / rounds), `r${round}`, async (done) => {
      const { open, deleted } = await descriptors(supervisor.pid());
      samples.push({
        cycle: round * Math.ceil(count / rounds) + done,
        open,
        deleted,
        pss: await pss_mb(supervisor.pid()),
      });
    });
    for (const system of others)
      states.get(system).refused += await run_cycles(system, Math.ceil(beside / rounds), `r${round}`);
  }
  const after = await inventory(supervisor);
  const left = difference(before, after);
  const ours_cycles = Math.ceil(count / rounds) * rounds;
  rows.push(...left_rows("supervisor", left, ours_cycles, before, after));
  left_bars.push({ label: "supervisor", ...one_bar(left.processes.length / ours_cycles) });
  for (const [system, { before: earlier, refused }] of states) {
    const now = await inventory(system);
    const theirs = difference(earlier, now);
    const their_cycles = Math.ceil(beside / rounds) * rounds;
    rows.push(...left_rows(system.name, theirs, their_cycles, earlier, now));
    if (refused > 0)
      rows.push({ name: `${system.name}: ends that it said had failed`, figure: String(refused), value: refused });
    left_bars.push({ label: system.name, ...one_bar(theirs.processes.length / their_cycles) });
    await end_leftovers_of(system, theirs);
  }
  const memory = regression(
    batch_means(
      samples.map(({ cycle, pss }) => [cycle, pss * 1024]),
      20,
    ),
  );
  const open = regression(
    batch_means(
      samples.map(({ cycle, open: some }) => [cycle, some]),
      20,
    ),
  );
  rows.push(growth_row("supervisor: memory (PSS)", memory, "KB", "cycle"));
  rows.push(growth_row("supervisor: open descriptors", open, "descriptors", "cycle", 5));
  const most_deleted = Math.max(...samples.map(({ deleted }) => deleted));
  rows.push({
    name: "supervisor: deleted files held open, the most at any look",
    figure: String(most_deleted),
    value: most_deleted,
  });
  const leaks = left.files.length + left.sessions.length + left.processes.length + left.deleted.length;
  return {
    title: `handle-leak: ${ours_cycles} cycles, ${LANES} at once`,
    rows,
    charts: [
      { title: "processes left", unit: "for each agent", bars: left_bars },
      {
        title: "supervisor: memory over the cycles (means of batches)",
        unit: "MB (PSS)",
        bars: series(samples, "pss", "cycle"),
      },
    ],
    skipped,
    notes: [
      `agents take turns: ${Object.keys(KINDS).join(", ")}; every receipt of the supervisor must say clear, with no survivor and nothing deferred, or the run fails`,
      "memory holds the records of ended agents, which the registry remembers, and garbage that is not collected yet",
      "supervisord runs with stopasgroup and killasgroup; what the others left is ended afterwards by pid and start time",
    ],
    goals: [
      at_most("supervisor: files, sockets, sessions, processes, deleted-but-open files left", leaks, 0),
      at_most("supervisor: descriptors more than before", after.descriptors - before.descriptors, 0),
      {
        name: "supervisor: memory slope (KB a cycle)",
        value: memory.slope,
        goal: "not distinguishable from 0, or falling",
        met: memory.distinguishable_from_0 === false || memory.slope < 0,
      },
    ],
  };
}

/** Answers how often the system said that an end had failed. `look` is called with the count after each cycle. */
async function run_cycles(system, count, prefix, look = async () => undefined) {
  let next = 0;
  let done = 0;
  let refused = 0;
  const turn = () => {
    const serial = serials.get(system) ?? 0;
    serials.set(system, serial + 1);
    return serial % 4;
  };
  const lane = async () => {
    while (next < count) {
      const at = next++;
      const [kind, script] = Object.entries(KINDS)[turn()];
      refused += await one_cycle(system, `${prefix}x${at}`, kind, script);
      done++;
      await look(done);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return refused;
}

async function one_cycle(system, id, kind, script) {
  const agent = await system.deploy(id, script, {
    cleanup: "delete",
    grace_ms: kind === "ignores TERM" ? GRACE_MS : 5000,
  });
  const ours = system.name === "supervisor";
  if (ours && kind === "ends by itself") {
    // Its end has begun already: reports would come too late, and its log may be removed before it is looked at.
    await system.ended(agent);
    return 0;
  }
  await grown_to(agent.log);
  if (kind === "ends by itself") {
    const pid = pid_in(await readFile(agent.log, "utf8"));
    await gone(pid, start_time(pid) ?? 0);
  }
  if (ours) await system.report(agent);
  try {
    await system.kill(agent);
    return 0;
  } catch (error) {
    // What ours fails at fails the run. The others are only counted.
    if (ours) throw error;
    return 1;
  }
}

/** What there is of a system and its agents. Files are everything in its directory, sockets and pipes included. */
async function inventory(system) {
  const spare = await system.spare?.();
  // There is one before and one after, but another one: none more may be left.
  const named = (list) => list.map((one) => (spare && names_spare(one, spare) ? "the spare host" : one));
  const sessions = system.tmux_socket
    ? (await run_file("tmux", ["-S", system.tmux_socket, "list-sessions", "-F", "#{session_name}"])).stdout
        .split("\n")
        .filter(Boolean)
    : [];
  const processes = await processes_of(system.root);
  return {
    descriptors: system.pid ? (await descriptors(system.pid())).open : 0,
    files: named((await readdir(system.root, { recursive: true })).sort()),
    sessions: named(sessions),
    processes: named(processes.map(({ pid, started, command }) => `${pid} ${started} ${command}`)),
    // What a host said before it was ready is deleted when it is; its stderr stays open.
    deleted: named(await deleted_files(processes, system.root)),
  };
}

const names_spare = (text, { pid, session, socket }) =>
  text === session || text.startsWith(`${pid} `) || text.includes(`/${basename(socket, ".sock")}.`);

/** Files of ours that are deleted and still open, as lsof lists them (`+L1`: link count below one). */
async function deleted_files(processes, root) {
  if (processes.length === 0) return [];
  const pids = processes.map(({ pid }) => pid).join(",");
  // lsof exits 1 when it has nothing to list, too.
  const { stdout } = await run_file("lsof", ["-nP", "-w", "+L1", "-a", "-p", pids, "-F", "pfn"]).catch((error) => {
    if (error.code !== 1) throw error;
    return error;
  });
  return stdout.split("\n").filter((line) => line.startsWith("n") && line.includes(root));
}

const difference = (before, after) =>
  Object.fromEntries(
    ["files", "sessions", "processes", "deleted"].map((kind) => [
      kind,
      after[kind].filter((one) => !before[kind].includes(one)),
    ]),
  );

function left_rows(name, left, cycles, before, after) {
  const list = (kind) =>
    [left[kind].length, ...left[kind].slice(0, 3).map((one) => one.split("/").slice(-1)[0])].join(" ");
  return [
    {
      name: `${name}: processes left of ${cycles} agents`,
      figure: `${left.processes.length} (${(left.processes.length / cycles).toFixed(2)} an agent)`,
      value: left.processes.length,
    },
    { name: `${name}: files left`, figure: list("files"), value: left.files.length },
    { name: `${name}: deleted files held open`, figure: String(left.deleted.length), value: left.deleted.length },
    ...(before.descriptors
      ? [{ name: `${name}: descriptors of the manager`, figure: `${before.descriptors} → ${after.descriptors}` }]
      : []),
    ...(left.sessions.length ? [{ name: `${name}: sessions left`, figure: list("sessions") }] : []),
  ];
}

async function end_leftovers_of(system, left) {
  if (left.processes.length > 0) {
    await system.stop();
    await end_leftovers(system.root);
  }
}

const one_bar = (value) => ({ median: value, low: 0, high: value });

/** Ten bars, each the batch's spread. */
function series(samples, key, per) {
  const size = Math.ceil(samples.length / 10);
  return Array.from({ length: Math.ceil(samples.length / size) }, (_, i) => {
    const batch = samples.slice(i * size, (i + 1) * size);
    const values = batch.map((one) => one[key]).sort((a, b) => a - b);
    return {
      label: `supervisor, ${per} ${batch.at(-1)[per]}`,
      median: values[values.length >> 1],
      low: values[0],
      high: values.at(-1),
    };
  });
}
