/**
 * The user's program that is told of alerts. It is a process of the daemon's, and nothing of it outlives its run: at its end, at its deadline, and
 * when the daemon leaves, whoever is left of it is asked by TERM and then killed, each known by pid and start time and by a cookie in its
 * environment. The cookie is on disk, in the runtime directory, before the first program runs: what a daemon that was killed
 * left running is ended by the next.
 */
import { randomBytes } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { end_family } from "../../containment/end-family.ts";
import { COOKIE_VARIABLE } from "../../containment/family.ts";
import type { Alert } from "../../contract/alert.ts";
import { is_errno } from "../../contract/errors.ts";
import { hook_cookie_file } from "../../contract/paths.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { start_hook } from "../../drivers/hook.ts";

/** How long a program may take to leave after TERM, in ms. The daemon's own leaving waits for it. */
const GRACE_MS = 500;

export interface HookOptions {
  command: readonly string[];
  timeout_ms: number;
  runtime_dir: string;
  /** What it gets of the environment: what hosts get, and nothing of anybody's secrets. */
  env: Record<string, string>;
}

/** A sender by a program. It rejects when the program fails, cannot be run, or takes too long; and when `signal` is aborted. */
export function hook_sender({ command, timeout_ms, runtime_dir, env }: HookOptions) {
  const cookie = randomBytes(16).toString("hex");
  let recorded: Promise<void> | null = null;
  return async (alert: Alert, signal: AbortSignal): Promise<void> => {
    recorded ??= record(runtime_dir, cookie);
    await recorded.catch((error) => {
      recorded = null;
      throw error;
    });
    signal.throwIfAborted();
    const hook = await start_hook(command, `${JSON.stringify(alert)}\n`, {
      ...env,
      SUPERVISOR_WORKSPACE: alert.workspace,
      [COOKIE_VARIABLE]: cookie,
    });
    const late = AbortSignal.any([signal, AbortSignal.timeout(timeout_ms)]);
    const stopped = new Promise<string>((resolve) =>
      late.addEventListener(
        "abort",
        () => resolve(`${command[0]} had not ended after ${timeout_ms} ms and was ended`),
        {
          once: true,
        },
      ),
    );
    const failure = await Promise.race([hook.ended, stopped]);
    await end_hooks(hook.process, cookie);
    if (failure) throw new Error(failure);
  };
}

async function record(runtime_dir: string, cookie: string): Promise<void> {
  const path = hook_cookie_file(runtime_dir);
  // What is there is of a daemon before us, whose programs were ended at the start, or planted.
  await rm(path, { force: true });
  await writeFile(path, cookie, { flag: "wx", mode: 0o600 });
}

/** Ends what a daemon that was killed left of its programs. Call it under the workspace lock, before the first alert. */
export async function end_leftover_hooks(runtime_dir: string): Promise<void> {
  const path = hook_cookie_file(runtime_dir);
  const cookie = await readFile(path, "utf8").catch((error) => {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  });
  if (cookie === null) return;
  if (/^[0-9a-f]{32}$/.test(cookie)) await end_hooks(null, cookie);
  await rm(path, { force: true });
}

async function end_hooks(leader: ProcessRef | null, cookie: string): Promise<void> {
  await end_family({ leader, cookie, exclude: [process.pid] }, { signal: "SIGTERM", grace_ms: GRACE_MS });
}
