// How many agents the machine has terminals for: each of ours takes two, its pane's and its own.
import { readdirSync, readFileSync } from "node:fs";

/** Room for what other programs open meanwhile. */
const RESERVE = 20;

/** The levels that fit, and why the others do not. Each is a number of agents; `beside` them so many more run at times. */
export function fitting(levels, beside = 0) {
  const used = readdirSync("/dev/pts").length;
  const room = Math.floor((limit() - used - RESERVE) / 2) - beside;
  const skipped = levels
    .filter((level) => level > 0 && level > room)
    .map(
      (level) =>
        `${level} agents: this machine allows ${limit()} terminals, of which ${used} are in use (devpts; pty(7))`,
    );
  return { levels: levels.filter((level) => level === 0 || level <= room), skipped };
}

/** The smaller one of the system's limit and the mount's, of which the last on /dev/pts counts. */
function limit() {
  const number = (name) => Number(readFileSync(`/proc/sys/kernel/pty/${name}`, "utf8"));
  const mount = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .findLast((line) => line.split(" ")[1] === "/dev/pts");
  const own = /[, ]max=(\d+)/.exec(mount ?? "")?.[1];
  return Math.min(number("max") - number("reserve"), own ? Number(own) : Number.POSITIVE_INFINITY);
}
