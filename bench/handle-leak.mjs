// Many cycles of deploy, print, kill: descriptors and memory of the supervisor before and after, and what is left on disk.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { grown_to, start_supervisor } from "./lib.mjs";

export async function run({ cycles }) {
  const supervisor = await start_supervisor();
  try {
    const cycle = async () => {
      const agent = await supervisor.deploy(["sh", "-c", "echo ready; exec sleep 1000"]);
      await grown_to(agent.tracked_files.log_file, 1);
      const { cleanup } = await supervisor.kill(agent.id);
      if (cleanup.handles !== "clear" || cleanup.survivors.length > 0 || cleanup.files_failed.length > 0)
        throw new Error("an end left something");
    };
    // Warm up: caches and lazily loaded code are not leaks.
    for (let i = 0; i < 5; i++) await cycle();
    const before = await usage(supervisor.pid);
    for (let i = 0; i < cycles; i++) await cycle();
    const after = await usage(supervisor.pid);
    const names = await readdir(supervisor.root, { recursive: true });
    const left = names.filter((name) => /_stream|agent_prompt|deploy_|\d{6}-[0-9a-f]{6}\.sock/.test(name)).length;
    return {
      title: `handle-leak: ${cycles} cycles of deploy, print, kill`,
      rows: [
        ["descriptors of the supervisor, before → after", `${before.fds} → ${after.fds}`],
        ["memory of the supervisor (RSS, MB)", `${before.rss} → ${after.rss}`],
        ["files and sockets of agents left", String(left)],
      ],
      ratio: { text: "descriptors after − before", value: after.fds - before.fds, goal: "0" },
    };
  } finally {
    await supervisor.stop();
  }
}

async function usage(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const rss = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
  return { fds: (await readdir(join("/proc", String(pid), "fd"))).length, rss };
}
