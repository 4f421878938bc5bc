// The last 20 lines of a log of 1 MB, 1 GB, 10 GB (sparse, with real lines at its end), and how long a line that an agent prints takes
// to a reader that follows; beside tail(1).
import { spawn } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { quote } from "./lib/agents.mjs";
import { bars } from "./lib/chart.mjs";
import { at_most } from "./lib/goal.mjs";
import { growth_row, median, regression, row } from "./lib/stats.mjs";
import { in_time, on_clean_up, run_file } from "./lib/undo.mjs";
import { wall } from "./lib/wall.mjs";
import { grown_to } from "./lib/watch.mjs";
import { SUPERVISOR, start_supervisor } from "./systems/supervisor.mjs";

const MB = 1e6;
const SIZES = [
  ["1 MB", 1 * MB],
  ["1 GB", 1000 * MB],
  ["10 GB", 10_000 * MB],
];
const LINES = 20;

export async function run({ rounds, short }) {
  const turns = rounds ?? (short ? 7 : 15);
  const supervisor = await start_supervisor({ probe: true });
  const logs = [];
  for (const [label, bytes] of SIZES) logs.push(await make_log(supervisor, label, bytes));
  const samples = logs.map(() => ({ daemon: [], tail: [], cli: [] }));
  // As many reads of the short log as there will be in all: what reading takes at all, code and garbage, is not the cost of a long log.
  for (let turn = 0; turn < turns * logs.length; turn++)
    await supervisor.call("GET", `/v1/agents/${logs[0].id}/output?tail=${LINES}`);
  const before = await supervisor.collect();
  for (let turn = 0; turn < turns; turn++) {
    for (const [at, { id, log, last }] of logs.entries()) {
      const began = performance.now();
      const { lines } = await supervisor.call("GET", `/v1/agents/${id}/output?tail=${LINES}`);
      samples[at].daemon.push(performance.now() - began);
      if (lines.length !== LINES || lines.at(-1) !== last)
        throw new Error(`not the last ${LINES} lines of ${log}: ${lines.at(-1)}`);
      samples[at].tail.push(await wall("tail", ["-n", String(LINES), log], process.env));
      if (turn < 5)
        samples[at].cli.push(
          await wall(
            process.execPath,
            [SUPERVISOR, "logs", id, "-n", String(LINES), "--workspace", supervisor.workspace],
            supervisor.env,
          ),
        );
    }
  }
  const after = await supervisor.collect();
  // Deleted here: an end that archives would compress 10 GB. Their receipts must differ, as they were written to by another hand.
  for (const { id } of logs) await supervisor.call("POST", `/v1/agents/${id}/kill`, { cleanup: "delete" });
  const followed = await follow(supervisor, turns);
  const risen = (after.live - before.live) / MB;
  const rows = logs.flatMap(({ label }, at) => [
    row(`supervisor, ${label}: answer of the daemon`, samples[at].daemon, { unit: "ms" }),
    row(`supervisor logs -n ${LINES}, ${label}: the whole command`, samples[at].cli, { unit: "ms", digits: 0 }),
    row(`tail -n ${LINES}, ${label}: the whole command`, samples[at].tail, { unit: "ms" }),
  ]);
  const read_bars = bars(rows);
  const follow_rows = Object.entries(followed).map(([name, some]) =>
    row(`printed → read: ${name}`, some, { unit: "ms" }),
  );
  const points = logs.flatMap(({ bytes }, at) => samples[at].daemon.map((ms) => [bytes / 1e9, ms]));
  rows.push(...follow_rows, growth_row("answer of the daemon: growth", regression(points), "ms", "GB", 4), {
    name: "memory of the daemon, after as many reads of 1 MB → after all (what lives)",
    figure: `${mb(before.live)} → ${mb(after.live)} MB`,
    value: risen,
  });
  rows.push({
    name: "the same, as the machine sees it (RSS)",
    figure: `${mb(before.rss)} → ${mb(after.rss)} MB`,
    value: (after.rss - before.rss) / MB,
  });
  return {
    title: `tail: the last ${LINES} lines, and a line that is followed`,
    rows,
    charts: [
      { title: `the last ${LINES} lines`, unit: "ms", log: true, bars: read_bars },
      { title: "a printed line → its reader", unit: "ms", bars: bars(follow_rows) },
    ],
    goals: [
      at_most(`logs -n ${LINES} of 10 GB, in the daemon (ms)`, median(samples.at(-1).daemon), 20),
      at_most("memory of the daemon, rise by reading the long logs (what lives, MB)", risen, 10),
    ],
    notes: [
      "the daemon's answer includes its way through the socket",
      "garbage is collected before both looks at the memory; flat means that it does not rise with 10 GB",
    ],
  };
}

const mb = (bytes) => (bytes / MB).toFixed(1);

/** An agent that idles, whose log is given a hole and a thousand lines at its end. */
async function make_log(supervisor, label, bytes) {
  const agent = await supervisor.deploy("t", "echo begin; exec sleep 1000");
  await grown_to(agent.log);
  const lines = Array.from({ length: 1000 }, (_, i) => `{"line":${i},"of":"${label}"}`);
  const file = await open(agent.log, "r+");
  try {
    await file.truncate(bytes);
    await file.write(`\n${lines.join("\n")}\n`, bytes);
  } finally {
    await file.close();
  }
  return { ...agent, label, bytes, last: lines.at(-1) };
}

/** The same line to two readers: from the word to the agent until each has it. */
async function follow(supervisor, turns) {
  const gate = join(supervisor.root, "follow.gate");
  await run_file("mkfifo", [gate]);
  const fd = openSync(gate, constants.O_RDWR | constants.O_NONBLOCK);
  const agent = await supervisor.deploy(
    "f",
    `exec 3<>${quote(gate)}; echo begin; while read -r line <&3; do echo "$line"; done`,
  );
  await grown_to(agent.log);
  const ours = await readers_of(supervisor, agent);
  const samples = { "supervisor (follow)": [], "tail -f on the log": [] };
  for (let turn = 0; turn < turns; turn++) {
    const waits = ours.map((reader) => reader.line(`line ${turn}`));
    const began = performance.now();
    writeSync(fd, `line ${turn}\n`);
    const [a, b] = await Promise.all(waits.map((wait) => wait.then((at) => at - began)));
    samples["supervisor (follow)"].push(a);
    samples["tail -f on the log"].push(b);
  }
  for (const reader of ours) await reader.stop();
  closeSync(fd);
  await supervisor.kill(agent);
  return samples;
}

async function readers_of(supervisor, agent) {
  const answer = await new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: supervisor.socket(), path: `/v1/agents/${agent.id}/logs?follow=true`, agent: false },
      resolve,
    );
    outgoing.once("error", reject);
    outgoing.end();
  });
  const tail = spawn("tail", ["-n", "+1", "-f", agent.log], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  const ended = new Promise((resolve) => tail.once("exit", resolve));
  on_clean_up(async () => {
    if (tail.exitCode === null && tail.signalCode === null) tail.kill("SIGKILL");
    await ended;
  });
  const stop_tail = async () => {
    tail.kill("SIGTERM");
    await ended;
  };
  const readers = [reader(answer, async () => answer.destroy()), reader(tail.stdout, stop_tail)];
  // Both follow already when they have given what was there before.
  await Promise.all(readers.map((one) => one.line("begin")));
  return readers;
}

function reader(stream, stop) {
  let text = "";
  let look = () => undefined;
  stream.on("data", (chunk) => {
    text += chunk;
    look();
  });
  return {
    stop,
    line: (wanted) => {
      const seen = new Promise((resolve) => {
        look = () => text.includes(`${wanted}\n`) && resolve(performance.now());
        look();
      });
      return in_time(seen, () => `the line '${wanted}'`);
    },
  };
}
