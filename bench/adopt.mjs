// What a start of the supervisor takes beyond a bare one when it has a hundred agents to adopt: from the process's first moment
// to its ready line, killed in between. The agents idle; their hosts live on.
import { median, READY_AGENT, row, start_supervisor, timed } from "./lib.mjs";

const AGENTS = 100;
const AT_ONCE = 5;

export async function run({ rounds = 5 }) {
  const supervisor = await start_supervisor();
  const starts = async () => {
    const samples = [];
    for (let round = 0; round < rounds; round++) {
      await supervisor.crash();
      samples.push((await timed(() => supervisor.restart())).ms);
    }
    return samples;
  };
  const bare = await starts();
  for (let begun = 0; begun < AGENTS; begun += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, () => supervisor.deploy(READY_AGENT)));
  const full = [];
  for (let round = 0; round < rounds; round++) {
    await supervisor.crash();
    full.push((await timed(() => supervisor.restart())).ms);
    const connected = (await supervisor.agents()).filter((agent) => agent.host_state === "connected").length;
    if (connected !== AGENTS)
      throw new Error(`${connected} of ${AGENTS} agents were adopted when the supervisor was ready`);
  }
  const value = median(full) - median(bare);
  return {
    title: `adopt: start of the supervisor to its ready line (ms)`,
    rows: [row("with no agents", bare), row(`with ${AGENTS} agents, all adopted`, full)],
    ratio: { name: "beyond a bare start (ms)", value, goal: "<= 2000", met: value <= 2000 },
  };
}
