// npm run bench -- [NAME...] [--rounds N] [--cycles N] [--json]. Exit codes: 0 measured, 1 it failed, 2 wrong usage.
// A goal that is missed is a result, not a failure: on a busy machine that happens.
import { parseArgs } from "node:util";
import { clean_up, machine } from "./lib.mjs";

const ALL = ["kill", "first-byte", "throughput", "handle-leak", "adopt"];

function parse_arguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: "string" }, cycles: { type: "string" }, json: { type: "boolean", default: false } },
  });
  const unknown = positionals.find((name) => !ALL.includes(name));
  if (unknown !== undefined) throw new Error(`no benchmark '${unknown}'; there are ${ALL.join(", ")}`);
  const options = {};
  for (const name of ["rounds", "cycles"]) {
    if (values[name] === undefined) continue;
    options[name] = Number(values[name]);
    if (!Number.isInteger(options[name]) || options[name] < 1) throw new Error(`--${name} must be a number from 1 up`);
  }
  return { names: positionals.length > 0 ? positionals : ALL, options, json: values.json };
}

function print({ title, rows, ratio }) {
  console.log(`\n${title}`);
  for (const { name, figure } of rows) console.log(`  ${name.padEnd(46)} ${figure}`);
  const verdict = `goal: ${ratio.goal}, ${ratio.met ? "met" : "missed"}`;
  console.log(`  ${ratio.name.padEnd(46)} ${Number(ratio.value.toFixed(2))}   (${verdict})`);
}

async function measure({ names, options, json }) {
  const results = { machine: await machine(), date: new Date().toISOString(), benchmarks: {} };
  if (!json) console.log(results.machine);
  for (const name of names) {
    const { run } = await import(`./${name}.mjs`);
    results.benchmarks[name] = await run(options);
    await clean_up();
    if (!json) print(results.benchmarks[name]);
  }
  if (json) console.log(JSON.stringify(results));
}

let leaving = null;
/** Once: a second Ctrl-C must not cut the removal short. */
const leave = (code) => {
  leaving ??= remove_and_exit(code);
  return leaving;
};

/** Whatever a benchmark still waits for must not keep the shell waiting, hence the exit. */
async function remove_and_exit(code) {
  try {
    await clean_up({ for_good: true });
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exit(code || 1);
  }
  process.exit(code);
}

let request;
try {
  request = parse_arguments();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exit(2);
}
for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 })) {
  process.on(signal, () => void leave(128 + number));
}
const code = await measure(request).then(
  () => 0,
  (error) => {
    if (!leaving) console.error(`bench: ${error.stack}`);
    return 1;
  },
);
await leave(code);
