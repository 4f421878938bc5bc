// 200 MB of lines through an agent into its log, beside tee in a tmux pane. Counted is the time from the first byte to the last.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { grown_to, median, spread, start_seed, start_supervisor } from "./lib.mjs";

const BYTES = 200_000_000;
// yes(1) prints faster than any of the paths measured can take it; `seq -f` does not.
const PRINT = `sleep 0.2; yes ${"0123456789".repeat(9)}01234567 | head -c ${BYTES}; exec sleep 1000`;

export async function run({ rounds }) {
  const ours = [];
  const seeds = [];
  const sums = new Set();
  const supervisor = await start_supervisor();
  const seed = await start_seed();
  try {
    for (let round = 0; round < Math.min(rounds, 5); round++) {
      const agent = await supervisor.deploy(["sh", "-c", PRINT]);
      ours.push(await rate(agent.tracked_files.log_file));
      sums.add(await sum(agent.tracked_files.log_file));
      await supervisor.kill(agent.id);
      const log = await seed.deploy(`s${round}`, `sh -c '${PRINT.replaceAll("'", "'\\''")}'`);
      seeds.push(await rate(log));
      sums.add(await sum(log));
      await seed.kill(`s${round}`, [log]);
    }
  } finally {
    await seed.stop();
    await supervisor.stop();
  }
  if (sums.size !== 1) throw new Error("the logs are not identical");
  return {
    title: "throughput: 200 MB into the log (MB/s), all logs byte-identical",
    rows: [
      ["supervisor", spread(ours)],
      ["tmux + tee", spread(seeds)],
    ],
    ratio: { text: "supervisor / tee", value: median(ours) / median(seeds), goal: ">= 1.2" },
  };
}

async function rate(path) {
  await grown_to(path, 1);
  const began = performance.now();
  await grown_to(path, BYTES);
  return BYTES / 1e6 / ((performance.now() - began) / 1000);
}

async function sum(path) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
