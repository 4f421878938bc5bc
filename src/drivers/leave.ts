/**
 * An end of this process that waits for no thread of it. exit(3) and `process.exit` let each thread come to its end first: those of Node's pool with all the calls that they were given,
 * however dead a file system is, and a worker in native code aborts instead. The kernel's own exit (exit_group(2)) takes along also those that wait in it for something that may be killed.
 * Run by the daemon as its very last act, and only while a thread of it is held up.
 */
import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";

/** From now on, an exit while `held_up` is past all threads. Returns how to take that back. */
export function leave_past_threads(held_up: () => boolean): () => void {
  // Node tells of an error that nobody caught after this event, when it would be too late.
  let uncaught: { error: unknown } | null = null;
  const hear = (error: unknown) => {
    uncaught = { error };
  };
  const leave = (code: number) => {
    if (!held_up()) return;
    if (uncaught) console.error(uncaught.error);
    // Where nothing is left to wait for but the command has not ended (13), Node says so in this alone by now.
    leave_at_once(Number(process.exitCode ?? code));
  };
  process.on("uncaughtExceptionMonitor", hear).on("exit", leave);
  return () => {
    process.off("uncaughtExceptionMonitor", hear).off("exit", leave);
  };
}

/** What a disk that works takes for its last calls, and a look whether they are done, in ms. */
const LAST_CALLS_MS = 1_000;
const LOOK_MS = 10;

/** Resolves when Node's pool has done what it was given; or soon, and then an exit does not wait for it: a file system may be dead. */
export async function leave_past_pool(): Promise<void> {
  const deadline = performance.now() + LAST_CALLS_MS;
  while (pool_is_busy()) {
    if (performance.now() > deadline) return void leave_past_threads(pool_is_busy);
    await delay(LOOK_MS);
  }
}

/** True while it has calls under way: to a file system, or to whoever resolves names. */
function pool_is_busy(): boolean {
  return process.getActiveResourcesInfo().some((one) => /^(FSReq|CloseReq|GetAddrInfoReq|GetNameInfoReq)/.test(one));
}

/** Does not return. Where koffi cannot be loaded it is an end by SIGKILL: its exit code is lost, but not the end. */
function leave_at_once(code: number): void {
  try {
    // Nothing can be awaited any more.
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    koffi.load(null).func("void _exit(int code)")(code);
  } catch {
    // Whatever it is that keeps koffi from being called.
    process.kill(process.pid, "SIGKILL");
  }
}
