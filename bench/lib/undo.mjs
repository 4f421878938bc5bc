// Whatever a benchmark starts or makes is undone in reverse, after a failure or Ctrl-C as well; and no wait is without an end.
import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

/** Every wait fails by then and says what for: the longest, a slow tee's output or a stop with agents, takes seconds. In ms. */
export const DEADLINE_MS = 120_000;

/** Runs a program to its end. */
export const run_file = (program, args, options = {}) =>
  promisify(execFile)(program, args, { timeout: DEADLINE_MS, maxBuffer: 64 * 1024 * 1024, ...options });

/** What is to be undone, the newest last. Filled before the thing itself is made, so that half a start is undone as well. */
const undo = [];
let closed = false;

export const on_clean_up = (back) => undo.push(back);

/**
 * Ends and removes all that was started here; with `for_good` nothing more can be started. One failure does not keep the
 * others from being undone.
 */
export async function clean_up({ for_good = false } = {}) {
  closed ||= for_good;
  // One at a time: a second one, after Ctrl-C, must not remove a directory while the first still ends who uses it.
  const earlier = under_way;
  const work = earlier.then(undo_all);
  under_way = work.catch(() => undefined);
  await work;
}

let under_way = Promise.resolve();

async function undo_all() {
  const failures = [];
  for (let back = undo.pop(); back; back = undo.pop()) await back().catch((error) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, `not all was removed: ${failures.join("; ")}`);
}

/** Made at once, so that no clean-up can come between the directory and its undoing. */
export function temporary_directory(prefix) {
  if (closed) throw new Error("the benchmark was interrupted");
  const root = mkdtempSync(join(tmpdir(), prefix));
  undo.push(() => rm(root, { recursive: true, force: true, maxRetries: 3 }));
  return root;
}

/** The promise, or an error that says what was waited for. */
export async function in_time(promise, waited_for, deadline_ms = DEADLINE_MS) {
  const timer = new AbortController();
  const late = delay(deadline_ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${deadline_ms} ms for ${waited_for()}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}
