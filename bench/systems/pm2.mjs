// pm2 by its own API (faster than its command line), with a daemon and a home of its own in a temporary directory.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { end_leftovers } from "../lib/proc.mjs";
import { on_clean_up, temporary_directory } from "../lib/undo.mjs";
import { gone, start_time } from "../lib/watch.mjs";
import { with_kill } from "./own-files.mjs";
import { Skipped } from "./skipped.mjs";

export async function start_pm2() {
  const root = temporary_directory("sv-pm2-");
  // pm2 reads its home when it is loaded; the daemon inherits the rest. No question to the network.
  const own = { PM2_HOME: root, PM2_DISABLE_VERSION_CHECK: "true", PM2_SILENT: "true" };
  Object.assign(process.env, own);
  let Pm2;
  try {
    Pm2 = createRequire(import.meta.url)("pm2").custom;
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    throw new Skipped("pm2 is not installed (npm ci in bench/ did not work)");
  }
  const pm2 = new Pm2({ pm2_home: root });
  const ask = (method, ...args) => promisify(pm2[method].bind(pm2))(...args);
  let daemon = null;
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    if (daemon) {
      await ask("killDaemon");
      await gone(daemon.pid, daemon.started);
    }
    pm2.disconnect();
    await end_leftovers(root);
  };
  on_clean_up(stop);
  await ask("connect");
  // Only the daemon and its agents shall name this directory: processes are told apart by it, and whatever is started next inherits.
  for (const name of Object.keys(own)) delete process.env[name];
  const pid = Number(await readFile(join(root, "pm2.pid"), "utf8"));
  daemon = { pid, started: start_time(pid) };
  return with_kill({
    name: "pm2 (API)",
    root,
    logs: join(root, "logs"),
    log_suffix: "_log",
    pid: () => pid,
    async deploy(id, script) {
      const log = join(root, "logs", `${id}_log`);
      await ask("start", {
        name: id,
        script: "/bin/sh",
        args: ["-c", script],
        interpreter: "none",
        cwd: root,
        out_file: log,
        error_file: `${log}.err`,
        autorestart: false,
        vizion: false,
        pmx: false,
        env: { SV_BENCH_ROOT: root },
      });
      return { id, log, files: [log, `${log}.err`] };
    },
    async end({ id }) {
      // Ended before, and forgotten.
      await ask("delete", id).catch((error) => {
        if (!/not found/.test(error.message)) throw error;
      });
    },
    stop,
  });
}
