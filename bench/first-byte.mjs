// From the request to deploy to the agent's first byte in its log, beside a tmux session with tee.
import { grown_to, median, spread, start_seed, start_supervisor, timed } from "./lib.mjs";

export async function run({ rounds }) {
  const ours = [];
  const seeds = [];
  const supervisor = await start_supervisor();
  const seed = await start_seed();
  try {
    for (let round = 0; round < rounds; round++) {
      const began = performance.now();
      const agent = await supervisor.deploy(["sh", "-c", "date +%s%3N.%N; exec sleep 1000"]);
      await grown_to(agent.tracked_files.log_file, 1);
      ours.push(performance.now() - began);
      await supervisor.kill(agent.id);
      const { ms } = await timed(async () =>
        grown_to(await seed.deploy(`s${round}`, "sh -c 'date; exec sleep 1000'"), 1),
      );
      seeds.push(ms);
      await seed.kill(`s${round}`, []);
    }
  } finally {
    await seed.stop();
    await supervisor.stop();
  }
  return {
    title: "deploy: request to first byte in the log (ms)",
    rows: [
      ["supervisor", spread(ours)],
      ["tmux + tee", spread(seeds)],
    ],
    ratio: { text: "supervisor / tee", value: median(ours) / median(seeds), goal: "supervisor <= 400 ms" },
  };
}
