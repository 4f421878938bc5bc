// npm run bench -- [NAME…] [--rounds N] [--cycles N] [--json]. Baselines run beside ours in the same run; compare ratios.
import { parseArgs } from "node:util";
import { machine } from "./lib.mjs";

const ALL = ["kill", "first-byte", "throughput", "handle-leak"];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "11" },
    cycles: { type: "string", default: "50" },
    json: { type: "boolean", default: false },
  },
});
const options = { rounds: Number(values.rounds), cycles: Number(values.cycles) };
const names = positionals.length > 0 ? positionals : ALL;
const unknown = names.find((name) => !ALL.includes(name));
if (unknown) {
  console.error(`bench: no benchmark '${unknown}'; there are ${ALL.join(", ")}`);
  process.exit(2);
}
const results = { machine: await machine(), date: new Date().toISOString(), benchmarks: {} };
if (!values.json) console.log(results.machine);
for (const name of names) {
  const { run } = await import(`./${name}.mjs`);
  const result = await run(options);
  results.benchmarks[name] = result;
  if (values.json) continue;
  console.log(`\n${result.title}`);
  for (const [what, figure] of result.rows) console.log(`  ${what.padEnd(46)} ${figure}`);
  console.log(`  ${result.ratio.text.padEnd(46)} ${result.ratio.value.toFixed(2)}   (goal: ${result.ratio.goal})`);
}
if (values.json) console.log(JSON.stringify(results));
