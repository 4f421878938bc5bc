// Many cycles of deploy, print, kill: descriptors and memory of the supervisor before and after, and whatever is left of
// the agents: files, sockets, sessions, processes. Anything left is an error. Before is the baseline of after.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { grown_to, READY_AGENT, run_file, start_supervisor } from "./lib.mjs";

/** Caches and code that is loaded on first use are no leak. */
const WARM_UP_CYCLES = 5;

export async function run({ cycles = 50 }) {
  const supervisor = await start_supervisor();
  const cycle = async () => {
    const agent = await supervisor.deploy(READY_AGENT);
    await grown_to(agent.tracked_files.log_file, 1);
    await supervisor.report(agent.id);
    await supervisor.kill(agent.id);
  };
  for (let i = 0; i < WARM_UP_CYCLES; i++) await cycle();
  const before = await inventory(supervisor);
  for (let i = 0; i < cycles; i++) await cycle();
  const after = await inventory(supervisor);

  const left = ["files", "sessions", "processes"].map((kind) => ({
    name: `${kind} left`,
    names: after[kind].filter((name) => !before[kind].includes(name)),
  }));
  const more = after.descriptors - before.descriptors;
  const count = left.reduce((sum, { names }) => sum + names.length, 0);
  return {
    title: `handle-leak: ${cycles} cycles of deploy, print, report, kill (after ${WARM_UP_CYCLES} to warm up)`,
    rows: [
      { name: "descriptors of the supervisor, before → after", figure: `${before.descriptors} → ${after.descriptors}` },
      { name: "memory of the supervisor (RSS, MB)", figure: `${before.rss_mb} → ${after.rss_mb}` },
      ...left.map(({ name, names }) => ({ name, figure: [names.length, ...names].join(" "), names })),
    ],
    ratio: { name: "descriptors more + things left", value: more + count, goal: "0", met: more <= 0 && count === 0 },
  };
}

/** What there is of this supervisor and its agents. Files are everything in its directory, sockets and pipes included. */
async function inventory({ pid, root, tmux_socket }) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const sessions = await run_file("tmux", ["-S", tmux_socket, "list-sessions", "-F", "#{session_name}"]);
  return {
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
    rss_mb: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024),
    files: (await readdir(root, { recursive: true })).sort(),
    sessions: sessions.stdout.split("\n").filter(Boolean),
    processes: await processes_of(root),
  };
}

/** All that names the directory in its arguments or environment: daemon, tmux server, hosts, agents and what they started. */
async function processes_of(root) {
  const found = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    // A process that is gone, or somebody else's, cannot be read; ours can.
    const read = (file) => readFile(join("/proc", pid, file), "latin1").catch(() => "");
    if (`${await read("cmdline")}\0${await read("environ")}`.includes(root))
      found.push(`${pid} (${(await read("comm")).trim()})`);
  }
  return found;
}
