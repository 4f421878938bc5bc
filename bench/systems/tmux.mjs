// What people have today, on a private tmux server: the seed (`cat prompt | agent | tee log`; kill-session, half a second, five
// deletes), and the same pane logged by `pipe-pane`. Nothing is verified by either.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { PROMPT, quote } from "../lib/agents.mjs";
import { end_leftovers } from "../lib/proc.mjs";
import { on_clean_up, run_file, temporary_directory } from "../lib/undo.mjs";
import { with_kill } from "./own-files.mjs";

export const start_seed = () =>
  start_tmux("seed (tmux + tee)", async (tmux, name, script, prompt, log) => {
    await tmux("new-session", "-d", "-s", name, `cat ${quote(prompt)} | sh -c ${quote(script)} | tee ${quote(log)}`);
  });

/** The pane waits for the pipe, so that the first bytes are not lost to the order of two commands. */
export const start_pipe_pane = async () => ({
  ...(await start_tmux("tmux pipe-pane", async (tmux, name, script, prompt, log) => {
    const wait = `tmux wait-for ${name}; exec sh -c ${quote(script)} <${quote(prompt)}`;
    await tmux("new-session", "-d", "-s", name, wait);
    await tmux("pipe-pane", "-t", `=${name}:`, `exec cat >${quote(log)}`);
    await tmux("wait-for", "-S", name);
  })),
  terminal_text: true,
});

async function start_tmux(name, begin) {
  const root = temporary_directory("sv-tmux-");
  const socket = join(root, "t.sock");
  const config = join(root, "tmux.conf");
  const tmux = (...args) =>
    run_file("tmux", ["-S", socket, "-f", config, ...args], { env: { ...process.env, SV_BENCH_ROOT: root } });
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    await tmux("kill-server");
    await end_leftovers(root);
  };
  on_clean_up(stop);
  // Ours stays up between agents; a server that booted in every round would be measured too slow.
  await writeFile(config, "set -s exit-empty off\n");
  await tmux("start-server");
  const logs = join(root, "logs");
  await mkdir(logs);
  const system = {
    name,
    root,
    logs,
    log_suffix: "_log",
    /** The agent's five files. Three of them are made here, as the seed's deploy does; the log by the logger. */
    async deploy(id, script) {
      const files = ["prompt", "log", "progress", "findings", "deploy"].map((kind) => join(logs, `${id}_${kind}`));
      const [prompt, log] = files;
      await writeFile(prompt, PROMPT);
      await begin(tmux, id, script, prompt, log);
      for (const file of files.slice(2)) await writeFile(file, "{}\n");
      return { id, log, files };
    },
    /** Its session alone. One that went by itself, with the agent, is no failure. */
    async end({ id }) {
      await tmux("kill-session", "-t", `=${id}`).catch((error) => {
        if (!/can't find session|no current target|no server running/.test(error.stderr ?? "")) throw error;
      });
    },
    attach: ({ id }) => ["tmux", "-S", socket, "attach", "-t", `=${id}`],
    stop,
  };
  // The whole of the seed's protocol: half a second, then five deletes.
  return with_kill(system, () => delay(500));
}
