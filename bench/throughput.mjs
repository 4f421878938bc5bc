// 200 MB of ASCII lines through an agent into its log, beside tee in a tmux pane: from the word to begin until the log is
// complete. Every log is held against the SHA-256 of what was to be printed.
import { createHash } from "node:crypto";
import { constants, createReadStream, openSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { grown_to, in_time, median, row, run_file, start_seed, start_supervisor } from "./lib.mjs";

const LINE = "0123456789".repeat(10).slice(0, 99);
const LINES = 2_000_000;
const BYTES = LINES * (LINE.length + 1);
const GOAL = 1.2;

export async function run({ rounds = 5 }) {
  const ours = [];
  const seeds = [];
  const expected = sum_of_lines();
  const supervisor = await start_supervisor();
  const seed = await start_seed();
  const measure = async (name, deploy) => {
    const gate = await make_gate(join(supervisor.root, name));
    const agent = await deploy(gate.agent);
    const log = agent.log ?? agent.tracked_files.log_file;
    const began = performance.now();
    await gate.pass();
    await grown_to(log, BYTES);
    const seconds = (performance.now() - began) / 1000;
    const sum = await sum_of_file(log);
    if (sum !== expected) throw new Error(`the log of ${name} is not what was printed: ${log}`);
    return { agent, mb_per_s: BYTES / 1e6 / seconds };
  };
  for (let round = 0; round < rounds; round++) {
    const a = await measure(`a${round}`, (script) => supervisor.deploy(script));
    ours.push(a.mb_per_s);
    const { cleanup } = await supervisor.kill(a.agent.id);
    if (cleanup.bytes_logged !== BYTES) throw new Error(`the receipt says ${cleanup.bytes_logged} bytes, not ${BYTES}`);

    const b = await measure(`s${round}`, (script) => seed.deploy(`s${round}`, script));
    seeds.push(b.mb_per_s);
    await seed.kill(`s${round}`, b.agent.files);
  }
  const value = median(ours) / median(seeds);
  return {
    title: `throughput: ${BYTES / 1e6} MB into the log (MB/s), SHA-256 of every log as expected`,
    rows: [row("supervisor", ours), row("seed (tmux pane + tee)", seeds)],
    ratio: { name: "supervisor / seed", value, goal: `>= ${GOAL}`, met: value >= GOAL },
  };
}

/**
 * An agent that waits for a word, prints, and says when it has printed: so neither its start nor a watch on every write is
 * measured. The word goes through pipes with names, opened for both directions so that no open or close ever blocks.
 */
async function make_gate(path) {
  const [begin, printed] = [`${path}.begin`, `${path}.printed`];
  await run_file("mkfifo", [begin, printed]);
  const both_ways = constants.O_RDWR | constants.O_NONBLOCK;
  const word = new Socket({ fd: openSync(printed, both_ways), readable: true, writable: false });
  const said = new Promise((resolve, reject) => word.once("data", resolve).once("error", reject));
  const descriptor = openSync(begin, both_ways);
  return {
    agent: `read -r word <'${begin}'; yes ${LINE} | head -n ${LINES}; echo >'${printed}'; exec sleep 1000`,
    async pass() {
      writeSync(descriptor, "begin\n");
      await in_time(said, () => "the agent to have printed");
      word.destroy();
      await Promise.all([begin, printed].map((name) => rm(name)));
    },
  };
}

function sum_of_lines() {
  const hash = createHash("sha256");
  const thousand = `${LINE}\n`.repeat(1000);
  for (let i = 0; i < LINES / 1000; i++) hash.update(thousand);
  return hash.digest("hex");
}

async function sum_of_file(path) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
