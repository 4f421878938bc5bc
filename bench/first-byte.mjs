// From the request to deploy to the agent's first byte in its log, beside a tmux session with tee.
import { median, next_file, READY_AGENT, row, start_seed, start_supervisor } from "./lib.mjs";

const GOAL_MS = 400;

export async function run({ rounds = 11 }) {
  const ours = [];
  const answers = [];
  const seeds = [];
  const supervisor = await start_supervisor();
  const seed = await start_seed();
  for (let round = 0; round < rounds; round++) {
    const a = await race(supervisor.logs, "_stream.jsonl", () => supervisor.deploy(READY_AGENT));
    ours.push(a.first_byte);
    answers.push(a.answered);
    await supervisor.kill(a.result.id);

    const b = await race(seed.logs, "_log", () => seed.deploy(`s${round}`, READY_AGENT));
    seeds.push(b.first_byte);
    await seed.kill(`s${round}`, b.result.files);
  }
  const value = median(ours);
  return {
    title: "first-byte: deploy request to first byte in the log (ms)",
    rows: [
      row("supervisor", ours),
      row("supervisor, deploy answered", answers),
      row("seed (tmux + tee)", seeds),
      { name: "supervisor / seed", figure: (value / median(seeds)).toFixed(1) },
    ],
    ratio: { name: "supervisor, median", value, goal: `<= ${GOAL_MS} ms`, met: value <= GOAL_MS },
  };
}

/** The times of the first byte and of the answer, whichever comes first: the watch begins before the deploy does. */
async function race(directory, suffix, deploy) {
  const log = next_file(directory, (name) => name.endsWith(suffix));
  const began = performance.now();
  const seen = log.found.then(() => performance.now() - began);
  try {
    const answer = deploy().then((result) => ({ result, answered: performance.now() - began }));
    const [first_byte, { result, answered }] = await Promise.all([seen, answer]);
    return { first_byte, answered, result };
  } finally {
    log.stop();
  }
}
