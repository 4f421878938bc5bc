// Output through an agent into its log: from the word to begin until the log is complete, ASCII and UTF-8, with the pane watched by an
// attached terminal and not. Every log is held against the SHA-256 of what was printed.
import { createHash } from "node:crypto";
import { constants, openSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import * as pty from "node-pty";
import { quote } from "./lib/agents.mjs";
import { bars } from "./lib/chart.mjs";
import { at_least } from "./lib/goal.mjs";
import { growth_row, regression, row } from "./lib/stats.mjs";
import { terminal_output } from "./lib/terminal-text.mjs";
import { in_time, run_file, temporary_directory } from "./lib/undo.mjs";
import { grown_to } from "./lib/watch.mjs";
import { LOGGERS_AND_LIMIT } from "./systems/lists.mjs";
import { start_all } from "./systems/skipped.mjs";
import { start_supervisor } from "./systems/supervisor.mjs";

/** A log that has not all of it by then has lost some. In ms. */
const GIVE_UP_MS = 30_000;

export async function run({ rounds, short, long }) {
  const turns = rounds ?? (short ? 3 : 5);
  const size = long ? 300 : short ? 40 : 100;
  const root = temporary_directory("sv-payload-");
  const payloads = [
    await payload(root, "ASCII", `${"0123456789".repeat(10).slice(0, 99)}\n`, size),
    await payload(root, "UTF-8", `${"añ→漢字🙂b".repeat(6)}\n`, Math.ceil(size / 3)),
  ];
  // A tenth, for the growth: a fixed cost would show as an intercept.
  const tenth = await payload(root, "ASCII", `${"0123456789".repeat(10).slice(0, 99)}\n`, Math.ceil(size / 10));
  const { systems, skipped } = await start_all([start_supervisor, ...LOGGERS_AND_LIMIT]);
  const lanes = systems.flatMap((system) => [
    { system, watched: false, label: system.name },
    ...(system.attach && !system.terminal_text ? [{ system, watched: true, label: `${system.name}, watched` }] : []),
  ]);
  const samples = new Map(
    payloads.map(({ kind }) => [kind, new Map(lanes.map(({ label }) => [label, { speeds: [], broken: 0 }]))]),
  );
  const growth = [];
  let serial = 0;
  for (let turn = 0; turn < turns; turn++) {
    for (const text of payloads) {
      for (const { system, watched, label } of lanes) {
        const { seconds, exact } = await one_run(system, `p${serial++}`, text, watched);
        const lane = samples.get(text.kind).get(label);
        if (seconds !== null) lane.speeds.push(text.bytes / 1e6 / seconds);
        if (!exact) lane.broken++;
        if (system.name === "supervisor" && !watched && text.kind === "ASCII")
          growth.push([text.bytes / 1e6, seconds * 1000]);
        if (system.name === "supervisor" && !exact)
          throw new Error(`the log of a run with ${text.kind} is not what was printed`);
      }
    }
    growth.push([tenth.bytes / 1e6, (await one_run(systems[0], `p${serial++}`, tenth, false)).seconds * 1000]);
  }
  const rows = [];
  const charts = [];
  const medians = {};
  for (const [kind, lanes_of] of samples) {
    const some = [...lanes_of].map(([label, { speeds, broken }]) => {
      const one = row(label, speeds, { unit: "MB/s", digits: 0 });
      medians[`${kind} ${label}`] = one.median;
      return {
        ...one,
        figure: `${one.figure}${broken ? `; not byte-exact in ${broken} of ${turns}` : ", byte-exact"}`,
        broken,
      };
    });
    rows.push(...some.map((one) => ({ ...one, name: `${kind}: ${one.name}` })));
    charts.push({ title: `${kind} into the log`, unit: "MB/s", bars: bars(some) });
  }
  rows.push(growth_row("supervisor, ASCII: time for output", regression(growth), "ms", "MB", 2));
  const ratio = (kind, to) => {
    const [mine, other] = [medians[`${kind} supervisor`], medians[`${kind} ${to}`]];
    return mine && other ? mine / other : null;
  };
  return {
    title: `throughput: ${payloads.map(({ kind, bytes }) => `${(bytes / 1e6).toFixed(0)} MB ${kind}`).join(", ")} into the log`,
    rows,
    charts,
    skipped,
    notes: [
      "supervisord gives its program a pipe and no terminal; all others go through a terminal of the kernel's",
      "not byte-exact: after the terminal's CR LF and script's own lines are taken out, the log is still not what was printed, or some is missing",
    ],
    goals: [
      at_least("ASCII, supervisor / seed", ratio("ASCII", "seed (tmux + tee)"), 1.5),
      at_least("UTF-8, supervisor / seed", ratio("UTF-8", "seed (tmux + tee)"), 2.5),
      at_least("ASCII, not watched, supervisor / bare reader", ratio("ASCII", "bare reader (C)"), 0.9),
      at_least("UTF-8, not watched, supervisor / bare reader", ratio("UTF-8", "bare reader (C)"), 0.9),
    ],
  };
}

async function payload(root, kind, line, megabytes) {
  const lines = Math.ceil((megabytes * 1e6) / Buffer.byteLength(line));
  const path = join(root, `${kind}-${megabytes}`);
  const text = Buffer.from(line.repeat(lines));
  await writeFile(path, text);
  return { kind, path, lines, bytes: text.length, sum: sum(text) };
}

/** `seconds` is null when the log was never complete. */
async function one_run(system, id, text, watched) {
  const gate = await make_gate(join(system.root, id), text.path);
  const agent = await system.deploy(id, gate.agent);
  const viewer = watched ? await attach(system, agent) : null;
  const size = text.bytes + (system.terminal_text ? text.lines : 0);
  const began = performance.now();
  await gate.pass();
  const seconds = await grown_to(agent.log, size, GIVE_UP_MS).then(
    () => (performance.now() - began) / 1000,
    () => null,
  );
  let log = await readFile(agent.log);
  if (system.terminal_text) log = terminal_output(log);
  const exact = sum(log) === text.sum;
  if (system.name === "supervisor") {
    const { cleanup } = await system.kill(agent);
    if (cleanup.bytes_logged !== text.bytes)
      throw new Error(`the receipt says ${cleanup.bytes_logged} bytes, not ${text.bytes}`);
  } else await system.kill(agent);
  if (viewer) await viewer.ended;
  return { seconds, exact };
}

/** A person's terminal on the agent's pane: what is drawn is read and thrown away. Resolves at the first thing drawn. */
async function attach(system, agent) {
  const [file, ...args] = await system.attach(agent);
  const terminal = pty.spawn(file, args, {
    cols: 200,
    rows: 50,
    env: { ...process.env, TERM: "xterm-256color", TMUX: "" },
  });
  const ended = new Promise((resolve) => terminal.onExit(resolve));
  await in_time(new Promise((resolve) => terminal.onData(resolve)), () => "an attached terminal to be drawn");
  return { ended };
}

/**
 * An agent that waits for a word, prints, and says when it has printed: so neither its start nor a watch on every write is
 * measured. The word goes through pipes with names, opened for both directions so that no open or close ever blocks.
 */
async function make_gate(path, file) {
  const [begin, printed] = [`${path}.begin`, `${path}.printed`];
  await run_file("mkfifo", [begin, printed]);
  const both_ways = constants.O_RDWR | constants.O_NONBLOCK;
  const word = new Socket({ fd: openSync(printed, both_ways), readable: true, writable: false });
  const said = new Promise((resolve, reject) => word.once("data", resolve).once("error", reject));
  const go = new Socket({ fd: openSync(begin, both_ways), readable: false, writable: true });
  return {
    agent: `read -r word <${quote(begin)}; cat ${quote(file)}; echo >${quote(printed)}; exec sleep 1000`,
    async pass() {
      go.write("begin\n");
      await in_time(said, () => "the agent to have printed");
      word.destroy();
      go.destroy();
      await Promise.all([begin, printed].map((name) => rm(name)));
    },
  };
}

const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");
