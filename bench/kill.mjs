// From the request to kill an agent that obeys TERM to its receipt (lsof's verdict and the deletes included), beside the seed's protocol.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { grown_to, median, spread, start_seed, start_supervisor, timed } from "./lib.mjs";

const AGENT = 'echo \'{"type":"ready"}\'; exec sleep 1000';

export async function run({ rounds }) {
  const ours = [];
  const seeds = [];
  const supervisor = await start_supervisor();
  const seed = await start_seed();
  try {
    for (let round = 0; round < rounds; round++) {
      const agent = await supervisor.deploy(["sh", "-c", AGENT]);
      await grown_to(agent.tracked_files.log_file, 1);
      const killed = await timed(() => supervisor.kill(agent.id));
      if (killed.result.cleanup.handles !== "clear")
        throw new Error(`the verdict was ${killed.result.cleanup.handles}`);
      ours.push(killed.ms);

      const log = await seed.deploy(`s${round}`, `sh -c '${AGENT.replaceAll("'", "'\\''")}'`);
      await grown_to(log, 1);
      const files = [
        log,
        ...["prompt", "progress", "findings", "deploy"].map((name) => join(seed.root, `${name}${round}`)),
      ];
      for (const file of files.slice(1)) await writeFile(file, "x");
      seeds.push((await timed(() => seed.kill(`s${round}`, files))).ms);
    }
  } finally {
    await seed.stop();
    await supervisor.stop();
  }
  return {
    title: "kill: request to receipt (ms)",
    rows: [
      ["supervisor (verified by lsof)", spread(ours)],
      ["seed (unverified)", spread(seeds)],
    ],
    ratio: { text: "seed / supervisor", value: median(seeds) / median(ours), goal: ">= 5" },
  };
}
