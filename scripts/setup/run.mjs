// Words, child processes and interruption: what all steps share.
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The clone. Never the caller's directory: setup can be started from anywhere. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A failure the reader can act on: printed as one line, without a stack. */
export class SetupError extends Error {}

/** One line about something that is really being done. stdout stays free for `--json`. */
export function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

const interruption = new AbortController();

/** Aborted when somebody wants setup to end. */
export const interrupted = interruption.signal;

/** Makes signals end setup in order: the child is stopped and the lock is given back. A second signal ends it at once. */
export function end_in_order_on_signals() {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => interruption.abort(new SetupError(`stopped by ${signal}`)));
  }
}

let announce = () => {};

/** Tells `listener` the pid of every child as it starts. For the lock, which must last as long as the child does. */
export function on_child(listener) {
  announce = listener;
}

/** Runs a command and keeps its output to itself, unless it fails. */
export async function run(command, args) {
  const failed = await tried(command, args);
  if (failed === null) return;
  process.stderr.write(failed.output);
  throw new SetupError(`\`${[command, ...args].join(" ")}\` failed (${failed.failure})`);
}

/** Runs a command to its end, with `env` besides our own: null when it did well, else what it was and all that it said. */
export async function tried(command, args, env = {}) {
  interrupted.throwIfAborted();
  // In a process group of its own, so that npm's compilers end with npm, and Ctrl-C reaches each of them once.
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  if (child.pid !== undefined) announce(child.pid);
  const { failure, output } = await finished(child);
  interrupted.throwIfAborted();
  return failure === null ? null : { failure, output };
}

function finished(child) {
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => chunks.push(chunk));
  // Waits for the end even so: giving the lock back while npm still writes would let the next setup trample it.
  const stop = () => child.pid && stop_group(child.pid);
  interrupted.addEventListener("abort", stop, { once: true });
  return new Promise((resolve) => {
    const end = (failure) => {
      interrupted.removeEventListener("abort", stop);
      resolve({ failure, output: Buffer.concat(chunks) });
    };
    child.once("error", (error) => end(error.code === "ENOENT" ? "it is not on the PATH" : error.message));
    child.once("close", (code, signal) => end(code === 0 ? null : signal ? `signal ${signal}` : `exit code ${code}`));
  });
}

function stop_group(pid) {
  try {
    process.kill(-pid, "SIGTERM");
  } catch (error) {
    // Gone already, or run by sudo: a package manager is better left to finish than cut off.
    if (error.code !== "ESRCH" && error.code !== "EPERM") throw error;
  }
}
