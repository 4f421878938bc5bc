// Programs that log one command's terminal and manage nothing: script(1), and a bare reader in C, which is the limit of what a
// log written from a terminal can do.
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { end_leftovers } from "../lib/proc.mjs";
import { in_time, on_clean_up, run_file, temporary_directory } from "../lib/undo.mjs";
import { with_kill } from "./own-files.mjs";
import { program } from "./skipped.mjs";

export const start_script = async () => {
  const script_program = program("script");
  return {
    ...(await start_reader("script(1)", (script, log) => [script_program, ["-q", "-f", "-e", "-c", script, log]])),
    terminal_text: true,
  };
};

/** Compiled on the fly; skipped where there is no compiler. */
export async function start_bare_reader() {
  const cc = program("cc");
  const root = temporary_directory("sv-cc-");
  const reader = join(root, "bare-reader");
  await run_file(cc, ["-O2", "-o", reader, fileURLToPath(new URL("bare-reader.c", import.meta.url)), "-lutil"]);
  return start_reader("bare reader (C)", (script, log) => [reader, [log, script]]);
}

async function start_reader(name, command) {
  const root = temporary_directory("sv-read-");
  const logs = join(root, "logs");
  await mkdir(logs);
  on_clean_up(async () => {
    await end_leftovers(root);
  });
  return with_kill({
    name,
    root,
    logs,
    log_suffix: "_log",
    async deploy(id, script) {
      const log = join(logs, `${id}_log`);
      const [file, args] = command(script, log);
      const env = { ...process.env, SV_BENCH_ROOT: root, SHELL: "/bin/sh" };
      const child = spawn(file, args, { detached: true, stdio: "ignore", env });
      const ended = new Promise((resolve) => child.once("exit", resolve));
      await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
      return { id, log, files: [log], child, ended };
    },
    async end({ id, child, ended }) {
      child.kill("SIGTERM");
      await in_time(ended, () => `${name} of ${id} to end`);
    },
    stop: async () => {
      await end_leftovers(root);
    },
  });
}
