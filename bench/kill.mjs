// From the request to kill an agent that obeys TERM to its receipt, lsof's verdict and five deletes included, beside the
// seed's protocol with its five deletes.
import { grown_to, median, READY_AGENT, row, start_seed, start_supervisor, timed } from "./lib.mjs";

export async function run({ rounds = 11 }) {
  const ours = [];
  const seeds = [];
  const steps = {};
  const supervisor = await start_supervisor();
  const seed = await start_seed();
  for (let round = 0; round < rounds; round++) {
    const agent = await supervisor.deploy(READY_AGENT);
    await grown_to(agent.tracked_files.log_file, 1);
    await supervisor.report(agent.id);
    const { ms, result } = await timed(() => supervisor.kill(agent.id));
    const deleted = result.cleanup.files_deleted.length;
    if (deleted !== 5) throw new Error(`${deleted} files were deleted, not five`);
    ours.push(ms);
    for (const [step, spent] of Object.entries(result.cleanup.duration_ms))
      steps[step] = [...(steps[step] ?? []), spent];

    const { log, files } = await seed.deploy(`s${round}`, READY_AGENT);
    await grown_to(log, 1);
    seeds.push((await timed(() => seed.kill(`s${round}`, files))).ms);
  }
  const value = median(seeds) / median(ours);
  return {
    title: "kill: request to receipt, five files deleted (ms)",
    rows: [
      row("supervisor (processes and lsof verified)", ours),
      row("seed (nothing verified)", seeds),
      ...Object.entries(steps).map(([step, spent]) => row(`  the receipt's own time of: ${step}`, spent)),
    ],
    ratio: { name: "seed / supervisor", value, goal: ">= 5", met: value >= 5 },
  };
}
