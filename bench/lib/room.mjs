// How many agents the machine has room for: terminals, process numbers, memory.
import { readdirSync, readFileSync } from "node:fs";

/** Each agent of ours takes two terminals, its pane's and its own. */
const TERMINALS = 2;
/** Room for what other programs open meanwhile. */
const TERMINALS_KEPT = 20;
/** Threads have numbers of their own: a Node host has about twelve, its agent two processes; rounded up. */
const NUMBERS = 20;
/** In MB, measured by density, and rounded up. */
const MEMORY_MB = 10;
/** This share of the memory and of the numbers stays free for everybody else. */
const KEPT_SHARE = 0.2;

/** The levels that fit, and why the others do not. Each is a number of agents; `beside` them so many more run at times. */
export function fitting(levels, beside = 0) {
  const limits = [terminals(), numbers(), memory()];
  const skipped = levels
    .filter((level) => level > 0)
    .flatMap((level) => {
      const short = limits.find(({ room }) => level > room - beside);
      return short ? [`${level} agents: ${short.why}`] : [];
    });
  const most = Math.min(...limits.map(({ room }) => room)) - beside;
  return { levels: levels.filter((level) => level === 0 || level <= most), skipped };
}

function terminals() {
  const used = readdirSync("/dev/pts").length;
  const limit = terminal_limit();
  return {
    room: Math.floor((limit - used - TERMINALS_KEPT) / TERMINALS),
    why: `this machine allows ${limit} terminals, of which ${used} are in use (devpts; pty(7))`,
  };
}

/** The smaller one of the system's limit and the mount's, of which the last on /dev/pts counts. */
function terminal_limit() {
  const number = (name) => Number(readFileSync(`/proc/sys/kernel/pty/${name}`, "utf8"));
  const mount = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .findLast((line) => line.split(" ")[1] === "/dev/pts");
  const own = /[, ]max=(\d+)/.exec(mount ?? "")?.[1];
  return Math.min(number("max") - number("reserve"), own ? Number(own) : Number.POSITIVE_INFINITY);
}

function numbers() {
  const number = (name) => Number(readFileSync(`/proc/sys/kernel/${name}`, "utf8"));
  const own = /^Max processes\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  const limit = Math.min(number("pid_max"), number("threads-max"), own ? Number(own) : Number.POSITIVE_INFINITY);
  const used = Number(readFileSync("/proc/loadavg", "utf8").split(" ")[3].split("/")[1]);
  return {
    room: Math.floor(((1 - KEPT_SHARE) * limit - used) / NUMBERS),
    why: `this machine allows ${limit} processes and threads, of which ${used} are in use (pid_max, threads-max, ulimit -u)`,
  };
}

function memory() {
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))[1]) / 1024;
  return {
    room: Math.floor(((1 - KEPT_SHARE) * available) / MEMORY_MB),
    why: `${Math.round(available)} MB of memory are available, and each takes ${MEMORY_MB}`,
  };
}
