// Is every byte in the log? Short bursts before an exit, output in the TERM handler, multi-byte text; alone, ten at once, beside busy
// cores and a busy disk, and on a slow one. Counted are runs whose log is not what was printed, and bytes that are missing, per system.
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { printing, printing_at_its_end } from "./lib/agents.mjs";
import { at_most } from "./lib/goal.mjs";
import { no_slow_disk, SLOW_MS, slow_disk } from "./lib/slow-disk.mjs";
import { growth_row, regression } from "./lib/stats.mjs";
import { terminal_output } from "./lib/terminal-text.mjs";
import { on_clean_up, temporary_directory } from "./lib/undo.mjs";
import { grown_to } from "./lib/watch.mjs";
import { LOGGERS } from "./systems/lists.mjs";
import { start_all } from "./systems/skipped.mjs";
import { start_supervisor } from "./systems/supervisor.mjs";

/** What is not in a log so long after the agent printed it never will be: no system holds output back for a second. In ms. */
const GIVE_UP_MS = 3_000;
/** The same on a slow disk: four logs of 200 KB, written 4 KB at a time, keep it busy for 2 s. In ms. */
const GIVE_UP_SLOW_MS = 10_000;

export async function run({ rounds, short, long }) {
  const turns = rounds ?? (long ? 20 : short ? 2 : 5);
  const root = temporary_directory("sv-payload-");
  const { systems, skipped } = await start_all([start_supervisor, ...LOGGERS]);
  const no_slow = no_slow_disk();
  const cases = (await make_cases(root)).filter((one) => !one.slow || no_slow === null);
  const counts = systems.map(({ name }) => ({
    name,
    by_case: new Map(cases.map((one) => [one.name, { runs: 0, broken: 0, missing: 0 }])),
  }));
  let serial = 0;
  for (let turn = 0; turn < turns; turn++) {
    for (const one of cases) {
      const quiet = one.load ? one.load(root) : null;
      for (const [at, system] of systems.entries()) {
        const count = counts[at].by_case.get(one.name);
        const unmount = one.slow ? await slow_disk(system.logs) : null;
        const runs = Array.from({ length: one.at_once }, () =>
          one_run(system, one, join(root, `m${serial}`), `b${serial++}`),
        );
        for (const missing of await Promise.all(runs)) {
          count.runs++;
          if (missing !== 0) count.broken++;
          count.missing += Math.max(missing, 0);
        }
        await unmount?.();
      }
      await quiet?.();
    }
  }
  const rows = counts.flatMap(({ name, by_case }) => [
    ...[...by_case].map(([case_name, count]) => ({ name: `${name}: ${case_name}`, figure: words(count), ...count })),
    total(name, by_case),
  ]);
  const totals = counts.map(({ name, by_case }) => ({ label: name, ...sums(by_case) }));
  const points = counts.flatMap(({ name, by_case }) =>
    name !== "supervisor" ? [] : cases.map((one) => [one.bytes.length / 1000, by_case.get(one.name).missing]),
  );
  rows.push(growth_row("supervisor: bytes missing", regression(points), "bytes", "KB printed"));
  const share = ({ label, broken, runs }) => ({
    label,
    median: (100 * broken) / runs,
    low: 0,
    high: (100 * broken) / runs,
  });
  return {
    title: "loss: runs whose log is not what the agent printed",
    rows,
    charts: [
      { title: "all cases", unit: "% of runs", bars: totals.map(share) },
      ...["printed in the TERM handler", "20 KB, ten at once", "multi-byte, 200 KB", "200 KB, slow disk"]
        .filter((name) => cases.some((one) => one.name === name))
        .map((name) => ({
          title: name,
          unit: "% of runs",
          bars: counts.map((one) => share({ label: one.name, ...one.by_case.get(name) })),
        })),
    ],
    skipped: [...skipped, ...(no_slow === null ? [] : [`a slow disk: ${no_slow}; a disk kept busy stands in`])],
    notes: [
      `slow disk: a file system in user space over the directory of the logs, whose every write and sync takes ${SLOW_MS} ms, one after the other`,
      "CR LF made by a terminal, and script's own lines, do not count as a difference; missing bytes and any other difference do",
    ],
    goals: [
      at_most("supervisor: runs that lost bytes", totals[0].broken, 0),
      at_most("supervisor: bytes missing", totals[0].missing, 0),
    ],
  };
}

async function make_cases(root) {
  const ascii = (bytes) =>
    Buffer.from(
      Array.from({ length: Math.ceil(bytes / 10) }, (_, i) => `${String(i).padStart(9, "0")}\n`).join(""),
    ).subarray(0, bytes);
  const multi_byte = Buffer.from(
    Array.from({ length: 5000 }, (_, i) => `${i} añ→漢字🙂 ${"é".repeat(i % 7)}\n`).join(""),
  );
  const cases = [
    { name: "1 KB", bytes: ascii(1_000), at_once: 1 },
    { name: "20 KB", bytes: ascii(20_480), at_once: 1 },
    { name: "200 KB", bytes: ascii(200_000), at_once: 1 },
    { name: "1 MB", bytes: ascii(1_000_000), at_once: 1 },
    { name: "20 KB, ten at once", bytes: ascii(20_480), at_once: 10 },
    { name: "200 KB, ten at once", bytes: ascii(200_000), at_once: 10 },
    { name: "200 KB, busy cores", bytes: ascii(200_000), at_once: 4, load: busy_cores },
    { name: "200 KB, busy disk", bytes: ascii(200_000), at_once: 4, load: busy_disk },
    { name: "multi-byte, 200 KB", bytes: multi_byte, at_once: 4 },
    { name: "printed in the TERM handler", bytes: ascii(20_480), at_once: 4, at_its_end: true },
    { name: "200 KB, slow disk", bytes: ascii(200_000), at_once: 4, slow: true },
    { name: "in the TERM handler, slow disk", bytes: ascii(20_480), at_once: 4, at_its_end: true, slow: true },
  ];
  for (const [at, one] of cases.entries()) {
    one.path = join(root, `payload-${at}`);
    await writeFile(one.path, one.bytes);
  }
  return cases;
}

/** Bytes missing of one run; -1 when none is missing and the log is different all the same. */
async function one_run(system, one, mark, id) {
  const give_up = one.slow ? GIVE_UP_SLOW_MS : GIVE_UP_MS;
  const script = one.at_its_end ? printing_at_its_end(one.path, mark) : printing(one.path, mark);
  const agent = await system.deploy(id, script, { cleanup: "keep" });
  let ending = null;
  if (one.at_its_end) {
    await grown_to(`${mark}.ready`, 0);
    ending = system.name === "supervisor" ? system.kill(agent, { cleanup: "keep" }) : system.end(agent);
  } else if (system.name === "supervisor") ending = system.ended(agent);
  // The seed's agent may be killed in its handler before it can leave the mark; that shows in its log.
  await grown_to(mark, 0, one.at_its_end ? give_up : undefined).catch((error) => {
    if (!one.at_its_end) throw error;
  });
  if (system.name === "supervisor") await ending;
  else await grown_to(agent.log, one.bytes.length, give_up).catch(() => "what is missing is counted below");
  const log = await readFile(agent.log).catch((error) => {
    if (error.code !== "ENOENT") throw error;
    return Buffer.alloc(0);
  });
  const missing = compare(system.terminal_text ? terminal_output(log) : log, one.bytes);
  await ending;
  if (system.name !== "supervisor") await system.kill(agent);
  return missing;
}

function compare(log, bytes) {
  if (log.equals(bytes)) return 0;
  return log.length < bytes.length ? bytes.length - log.length : -1;
}

/** Two shells for each core. Answers what ends them, by their handles. */
function busy_cores() {
  return loads(cpus().length * 2, ["-c", "while :; do :; done"]);
}

/** Synced writes without an end to the disk that the logs are on. */
function busy_disk(root) {
  return loads(2, [
    "-c",
    `while :; do dd if=/dev/zero of='${root}/busy.'$$ bs=1M count=8 conv=fsync 2>/dev/null; done`,
  ]);
}

function loads(count, args) {
  const children = Array.from({ length: count }, () => spawn("/bin/sh", args, { detached: true, stdio: "ignore" }));
  const ended = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
  const stop = async () => {
    for (const child of children) {
      // The whole group, so that no dd outlives its shell. A child that was waited for is not signalled.
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGKILL");
    }
    await Promise.all(ended);
  };
  on_clean_up(stop);
  return stop;
}

const words = ({ runs, broken, missing }) =>
  broken === 0 ? `all ${runs} whole` : `${broken} of ${runs} not whole, ${missing} bytes missing`;

function sums(by_case) {
  const all = [...by_case.values()];
  const sum = (key) => all.reduce((total_of, one) => total_of + one[key], 0);
  return { runs: sum("runs"), broken: sum("broken"), missing: sum("missing") };
}

const total = (name, by_case) => ({ name: `${name}: all cases`, figure: words(sums(by_case)), ...sums(by_case) });
