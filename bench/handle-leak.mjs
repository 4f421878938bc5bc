// Many cycles of deploy, print, end, some at once: what is left of the agents (files, sockets, sessions, processes, deleted files that
// are held open), and the manager's descriptors and memory over the cycles. Four kinds of agents take turns: one that obeys, one that
// ends by itself, one that ignores TERM, and one with helpers in other sessions. The same agents under the others show what leaks there.
import { readFile } from "node:fs/promises";
import { DEAF_AGENT, ESCAPING_AGENT, PASSING_AGENT, pid_in, READY_AGENT } from "./lib/agents.mjs";
import { at_most } from "./lib/goal.mjs";
import { in_lanes } from "./lib/lanes.mjs";
import { difference, inventory, left_rows } from "./lib/leftovers.mjs";
import { memory_figures } from "./lib/memory-over-cycles.mjs";
import { descriptors, end_leftovers, pss_mb } from "./lib/proc.mjs";
import { progress_of } from "./lib/progress.mjs";
import { batch_means, growth_row, regression } from "./lib/stats.mjs";
import { gone, grown_to, start_time } from "./lib/watch.mjs";
import { MANAGERS } from "./systems/lists.mjs";
import { start_all } from "./systems/skipped.mjs";
import { start_supervisor } from "./systems/supervisor.mjs";

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
/** What is loaded and cached at first use is no leak. More than the registry keeps of the ended: from then on each that ends is one more in the journal. */
const WARM_UP = 24;
/** Records of ended agents expire. So few (about 180) are kept that it happens from the first fifth of the cycles on, as it does by itself after some 23,000. */
const RETENTION = { receipts_max_bytes: 512 * 1024 };
/** So many looks at descriptors and memory over a run at most: a look at the memory of a large process takes the kernel milliseconds. */
const LOOKS = 1_000;
/** A cycle that fails is counted and told, and the run goes on; after so many there is nothing left to measure. */
const FAILURES = 50;

export async function run({ cycles, short, long }) {
  const asked = cycles ?? (long ? 10_000 : short ? 60 : 200);
  // Rounds, so that ours and the others are measured at the same times, and a collection is asked for when nothing runs.
  const rounds = Math.max(4, Math.min(20, Math.floor(asked / 100)));
  const per_round = Math.ceil(asked / rounds);
  const count = per_round * rounds;
  const beside = Math.ceil(Math.min(count, long ? 200 : short ? 8 : 40) / rounds);
  const supervisor = await start_supervisor({ probe: true, retention: RETENTION });
  const { systems: others, skipped } = await start_all(MANAGERS);
  await run_cycles(supervisor, WARM_UP, "w");
  // The first snapshot, so that what it leaves is there before PSS is measured.
  await look_at_heap(supervisor);
  const before = await inventory(supervisor);
  const samples = [];
  const collected = [];
  const failures = [];
  const states = new Map();
  for (const system of others) states.set(system, { before: await inventory(system), refused: 0 });
  const tell = progress_of("handle-leak", count, "cycles");
  const every = Math.ceil(count / LOOKS);
  for (let round = 0; round < rounds; round++) {
    const from = round * per_round;
    await run_cycles(supervisor, per_round, `r${round}`, failures, async (done) => {
      tell(from + done);
      if (done % every !== 0) return;
      const { open, deleted } = await descriptors(supervisor.pid());
      samples.push({ cycle: from + done, open, deleted, pss: await pss_mb(supervisor.pid()) });
    });
    collected.push({ cycle: from + per_round, ...(await look_at_heap(supervisor)) });
    for (const system of others) states.get(system).refused += await run_cycles(system, beside, `r${round}`);
  }
  // What a failed cycle left waiting is tried again by the sweeper each minute: now, so that only what stays is counted as left.
  if (failures.length > 0) await supervisor.call("POST", "/v1/gc", {});
  const after = await inventory(supervisor);
  const left = difference(before, after);
  const rows = left_rows("supervisor", left, count, before, after);
  const left_bars = [{ label: "supervisor", ...one_bar(left.processes.length / count) }];
  for (const [system, { before: earlier, refused }] of states) {
    const now = await inventory(system);
    const theirs = difference(earlier, now);
    const their_cycles = beside * rounds;
    rows.push(...left_rows(system.name, theirs, their_cycles, earlier, now));
    if (refused > 0)
      rows.push({ name: `${system.name}: ends that it said had failed`, figure: String(refused), value: refused });
    left_bars.push({ label: system.name, ...one_bar(theirs.processes.length / their_cycles) });
    await end_leftovers_of(system, theirs);
  }
  const memory = memory_figures({ samples, collected, cycles: count });
  const open = regression(
    batch_means(
      samples.map(({ cycle, open: some }) => [cycle, some]),
      20,
    ),
  );
  const most_deleted = Math.max(...samples.map(({ deleted }) => deleted));
  rows.push(
    ...memory.rows,
    growth_row("supervisor: open descriptors", open, "descriptors", "cycle", 5),
    {
      name: "supervisor: deleted files held open, the most at any look",
      figure: String(most_deleted),
      value: most_deleted,
    },
    { name: "supervisor: cycles that failed", figure: String(failures.length), value: failures.length, failures },
  );
  const leaks = left.files.length + left.sessions.length + left.processes.length + left.deleted.length;
  return {
    title: `handle-leak: ${count} cycles, ${LANES} at once`,
    rows,
    charts: [{ title: "processes left", unit: "for each agent", bars: left_bars }, ...memory.charts],
    skipped,
    failures,
    notes: [
      `agents take turns: ${Object.keys(KINDS).join(", ")}; every receipt of the supervisor must say clear, with no survivor and nothing deferred, or the cycle has failed`,
      ...memory.notes,
      "supervisord runs with stopasgroup and killasgroup; what the others left is ended afterwards by pid and start time",
    ],
    goals: [
      at_most("supervisor: files, sockets, sessions, processes, deleted-but-open files left", leaks, 0),
      at_most("supervisor: descriptors more than before", after.descriptors - before.descriptors, 0),
      at_most("supervisor: cycles that failed", failures.length, 0),
      ...memory.goals,
    ],
  };
}

/**
 * Answers how often another system said that an end had failed. What ours fails at is added to `failures`; without, it fails the run. `look` is called
 * with the count after each cycle.
 */
async function run_cycles(system, count, prefix, failures = null, look = async () => undefined) {
  let done = 0;
  let refused = 0;
  const turn = () => {
    const serial = serials.get(system) ?? 0;
    serials.set(system, serial + 1);
    return serial % 4;
  };
  await in_lanes(count, LANES, async (at) => {
    const [kind, script] = Object.entries(KINDS)[turn()];
    try {
      await one_cycle(system, `${prefix}x${at}`, kind, script);
    } catch (error) {
      if (system.name !== "supervisor") refused++;
      else if (failures === null) throw error;
      else note_failure(failures, `${prefix}x${at}`, kind, error);
    }
    done++;
    await look(done);
  });
  return refused;
}

function note_failure(failures, id, kind, error) {
  failures.push({ id, kind, message: error.message });
  console.error(`bench: handle-leak: a cycle failed (an agent that ${kind}): ${error.message}`);
  if (failures.length >= FAILURES) throw new Error(`${FAILURES} cycles failed, the last one: ${error.message}`);
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
    return;
  }
  await grown_to(agent.log);
  if (kind === "ends by itself") {
    const pid = pid_in(await readFile(agent.log, "utf8"));
    await gone(pid, start_time(pid) ?? 0);
  }
  if (ours) await system.report(agent);
  await system.kill(agent);
}

/**
 * What the supervisor holds on to when nothing runs, after a sweep: expired records go by that, and verdicts that wait to be looked over. What a sweep removes
 * of files it has known of for ten minutes, and does so by itself as well.
 */
async function look_at_heap(supervisor) {
  await supervisor.call("POST", "/v1/gc", {});
  await supervisor.spare();
  return supervisor.collect_and_count();
}

async function end_leftovers_of(system, left) {
  if (left.processes.length > 0) {
    await system.stop();
    await end_leftovers(system.root);
  }
}

const one_bar = (value) => ({ median: value, low: 0, high: value });
