/**
 * Starts a program of the user's that is told something on its stdin. Run by the daemon. It gets a process group of its own and an environment
 * that is given here whole. Its stdout goes nowhere; of its stderr the beginning is kept, and when it writes too much the pipe is closed.
 * When it is slow, when it ends, and when it leaves somebody behind: that is the caller's affair, who knows its pid and start time.
 */
import { once } from "node:events";
import { errno_of, is_used_up, message_of } from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { process_ref_of } from "./procfs.ts";
import { start_program } from "./program.ts";

/** Of its stderr, what is worth a line in the log. In characters. */
const KEPT = 500;
/** Who writes more than this is flooding: reading on would cost the daemon its time. In bytes. */
const STDERR_LIMIT_BYTES = 64 * 1024;

export interface Hook {
  /** Null when it could not be started, or not be looked at: no descriptor was free. */
  process: ProcessRef | null;
  /** Resolves when the program has ended, whoever it left behind: null when it exited with 0, else why not, in one line. Never rejects. */
  ended: Promise<string | null>;
}

/** Rejects with `out_of_resources` when there are no means to start it. */
export async function start_hook(
  command: readonly string[],
  input: string,
  env: Record<string, string>,
): Promise<Hook> {
  const [program, ...args] = command as [string, ...string[]];
  const { child } = await start_program(program, args, {
    reject: false,
    input,
    stdout: "ignore",
    stderr: "pipe",
    buffer: false,
    cwd: "/",
    env,
    extendEnv: false,
    // Its own session and group: what it starts can be found again, and a Ctrl-C at the daemon's terminal is not for it.
    detached: true,
  });
  // Read at once: even when it has ended it is a zombie until the next turn of the event loop.
  const process = child.pid === undefined ? null : look_at(child.pid);
  let said = "";
  let bytes = 0;
  child.stderr.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (said.length < KEPT) said = (said + chunk.toString("utf8")).slice(0, KEPT);
    if (bytes > STDERR_LIMIT_BYTES) child.stderr.destroy();
  });
  // The program's own exit, and not the end of its output: somebody whom it left behind may hold that open.
  const exit = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const ended = (async () => {
    if (child.pid === undefined) {
      exit.catch(() => undefined /* the reason is in the result */);
      const result = await child;
      const why = errno_of(result) === "ENOENT" ? "there is no such program" : (errno_of(result) ?? message_of(result));
      return `${program} could not be run: ${why}; give its whole path, or one that is on the supervisor's PATH`;
    }
    const [code, signal] = await exit;
    child.stderr.destroy();
    if (code === 0) return null;
    return `${program} ${signal ? `was ended by ${signal}` : `exited with ${code}`}${said.trim() ? `: ${message_of(said)}` : ""}`;
  })();
  return { process, ended };
}

function look_at(pid: number): ProcessRef | null {
  try {
    return process_ref_of(pid);
  } catch (error) {
    if (is_used_up(error)) return null;
    throw error;
  }
}
