// The machine and the versions a result belongs to.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg, release, totalmem } from "node:os";

/** The first line a program says to the question for its version; null when it is not installed, or fails (git, where this is no checkout). */
function version(program, ...args) {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .trim()
      .split("\n")[0];
  } catch (error) {
    if (error.code === "ENOENT" || error.status > 0) return null;
    throw error;
  }
}

export const load = () => loadavg().map((value) => Number(value.toFixed(2)));

export function machine() {
  const require = createRequire(import.meta.url);
  const packages = (name) => {
    try {
      return require(`${name}/package.json`).version;
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
      return null;
    }
  };
  const model = /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
  return {
    cores: cpus().length,
    processor: model,
    memory_gb: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
    tmux: version("tmux", "-V"),
    script: version("script", "--version"),
    supervisord: version("supervisord", "--version"),
    pm2: packages("pm2"),
    supervisor_commit: version("git", "rev-parse", "--short", "HEAD"),
  };
}

export const machine_line = (facts) =>
  Object.entries(facts)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
