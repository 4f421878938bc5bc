// npm run bench -- [NAME...] [--json] [--short | --long] [--rounds N] [--cycles N] [--others N,N…] [--save]. Exit codes: 0 measured, 1 it failed, 2 wrong usage.
// A goal that is missed is a result, not a failure: on a busy machine that happens.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { draw } from "./lib/chart.mjs";
import { load, machine, machine_line } from "./lib/machine.mjs";
import { clean_up } from "./lib/undo.mjs";

const ALL = ["loss", "throughput", "latency", "registry", "tail", "handle-leak", "density"];
const RESULTS = new URL("results/", import.meta.url);

function parse_arguments() {
  const flag = { type: "boolean", default: false };
  const options = {
    rounds: { type: "string" },
    cycles: { type: "string" },
    others: { type: "string" },
    json: flag,
    short: flag,
    long: flag,
    save: flag,
  };
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const unknown = positionals.find((name) => !ALL.includes(name));
  if (unknown !== undefined) throw new Error(`no benchmark '${unknown}'; there are ${ALL.join(", ")}`);
  // All of them together are short, so that people run them at all.
  const asked = { long: values.long, short: values.short || (positionals.length === 0 && !values.long) };
  for (const name of ["rounds", "cycles"]) {
    if (values[name] === undefined) continue;
    asked[name] = Number(values[name]);
    if (!Number.isInteger(asked[name]) || asked[name] < 1) throw new Error(`--${name} must be a number from 1 up`);
  }
  if (values.others !== undefined) {
    // With none in any case: what the others cost is told beside it.
    asked.others = [...new Set([0, ...values.others.split(",").map(Number)])].sort((a, b) => a - b);
    if (asked.others.some((one) => !Number.isInteger(one) || one < 0) || values.others === "")
      throw new Error("--others must be numbers of agents, as in 0,100,400");
    if (positionals.join() !== "latency") throw new Error("--others is of latency alone");
  }
  return { names: positionals.length > 0 ? positionals : ALL, asked, json: values.json, save: values.save };
}

/** The packages that only benchmarks need. Without them pm2 is skipped and no chart is drawn; the rest is measured. */
function install_packages() {
  if (existsSync(new URL("node_modules/.package-lock.json", import.meta.url))) return;
  try {
    const cwd = fileURLToPath(new URL(".", import.meta.url));
    execFileSync("npm", ["ci", "--ignore-scripts"], { cwd, stdio: ["ignore", "ignore", "inherit"] });
  } catch (error) {
    console.error(`bench: npm ci in bench/ failed (${error.message}): no pm2, no charts`);
  }
}

function print({ title, rows, goals, skipped, notes }) {
  console.log(`\n${title}`);
  for (const { name, figure } of rows) console.log(`  ${name.padEnd(58)} ${figure}`);
  for (const { name, value, goal, met } of goals)
    console.log(
      `  ${name.padEnd(58)} ${value === null ? "not measured" : Number(value.toFixed(2))}   (goal: ${goal}, ${value === null ? "not judged" : met ? "met" : "missed"})`,
    );
  for (const reason of skipped) console.log(`  skipped: ${reason}`);
  for (const note of notes) console.log(`  note: ${note}`);
}

async function measure({ names, asked, json, save }) {
  install_packages();
  const results = { machine: machine(), date: new Date().toISOString(), benchmarks: {} };
  if (!json) console.log(machine_line(results.machine));
  let failed = 0;
  for (const name of names) {
    try {
      await measure_one(name);
    } catch (error) {
      if (leaving !== null) throw error;
      // The others can still be measured; what the failed one had started must not be around them.
      console.error(`bench: ${name}: ${error.stack}`);
      results.benchmarks[name] = { failed: error.message };
      failed++;
      await clean_up();
    }
  }
  if (json) console.log(JSON.stringify(results));
  return failed;

  async function measure_one(name) {
    const { run } = await import(`./${name}.mjs`);
    const before = load();
    const began = performance.now();
    const result = { skipped: [], notes: [], charts: [], failures: [], ...(await run(asked)) };
    await clean_up();
    const seconds = Math.round((performance.now() - began) / 1000);
    result.notes.push(`took ${seconds} s; load averages before ${before.join(" ")}, after ${load().join(" ")}`);
    results.benchmarks[name] = result;
    if (!json) print(result);
    // Measured all the same, but not as it should be.
    if (result.failures.length > 0) failed++;
    if (save) await store(name, result, results);
  }
}

/** Into bench/results/: the figures as JSON, and their chart. */
async function store(name, result, { machine, date }) {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(
    new URL(`${name}.json`, RESULTS),
    `${JSON.stringify({ name, date, machine, ...result }, shorten, 1)}\n`,
  );
  const svg = await draw(name, result, { date, machine });
  if (svg !== null) await writeFile(new URL(`${name}.svg`, RESULTS), svg);
}

const shorten = (_key, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;

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
  (failed) => (failed > 0 ? 1 : 0),
  (error) => {
    if (!leaving) console.error(`bench: ${error.stack}`);
    return 1;
  },
);
await leave(code);
