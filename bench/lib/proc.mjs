// What processes cost and hold, by /proc. A process is known by the benchmark's own temporary directory in its arguments or
// environment, which no other process has.
import { readdir, readFile, readlink } from "node:fs/promises";
import { start_time } from "./watch.mjs";

// A process that is gone, or somebody else's, cannot be read; ours can.
const read = (pid, file) => readFile(`/proc/${pid}/${file}`, "latin1").catch(() => "");

/** All that names the directory: daemon, tmux server, hosts, agents and what they started. `{pid, started, command}` each. */
export async function processes_of(root) {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const looks = pids.map(async (pid) => {
    const [cmdline, environ] = await Promise.all([read(pid, "cmdline"), read(pid, "environ")]);
    if (Number(pid) === process.pid || !`${cmdline}\0${environ}`.includes(root)) return null;
    const command = (await read(pid, "comm")).trim();
    return { pid: Number(pid), started: start_time(pid), command, args: cmdline.split("\0") };
  });
  return (await Promise.all(looks)).filter((one) => one !== null && one.started !== null);
}

/** Proportional set size in MB: memory that is shared is counted by its share. */
export async function pss_mb(pid) {
  return Number(/^Pss:\s+(\d+) kB/m.exec(await read(pid, "smaps_rollup"))?.[1] ?? 0) / 1024;
}

/** CPU time in ms of a process and of its children that it has waited for (ticks of 10 ms). */
export async function cpu_ms(pid) {
  const text = await read(pid, "stat");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
}

/** Open descriptors, and how many of them are files that were deleted (those of Node's own memory do not count). */
export async function descriptors(pid) {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  return {
    open: names.length,
    deleted: targets.filter((target) => target.endsWith(" (deleted)") && !target.startsWith("/memfd:")).length,
  };
}

/** Ends what a system left behind: only processes that name our directory, each by pid and start time. */
export async function end_leftovers(root) {
  const left = await processes_of(root);
  for (const { pid, started } of left) {
    if (start_time(pid) !== started) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
  }
  return left;
}
