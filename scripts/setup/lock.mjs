// One setup at a time in a clone: `npm start` and `npm test` in two terminals must not both run `npm ci`.
// The lock is a directory, because mkdir either makes it or fails, and it lives beside node_modules and dist, because
// those two are deleted while the lock is held. Whoever is slow is waited for; whoever is gone is stepped over.
import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { end_in_order_on_signals, interrupted, on_child, ROOT, SetupError, say } from "./run.mjs";

const LOCK = join(ROOT, ".setup.lock");
const OWNER = join(LOCK, "owner.json");

/** A fresh install that compiles node-pty on a slow machine and line takes minutes; longer than this, something hangs. */
const DEADLINE_MS = 15 * 60_000;
/** How often a waiter looks. Below what a person notices, well above what a look costs. */
const POLL_MS = 200;
/** The owner writes its name within a millisecond of making the lock: a lock without one for this long lost its owner. */
const NAMELESS_MS = 10_000;

/** Runs `work` while no other setup runs in this clone. */
export async function with_lock(work) {
  end_in_order_on_signals();
  await take();
  try {
    await work();
  } finally {
    discard();
  }
}

async function take() {
  const deadline = Date.now() + DEADLINE_MS;
  let told = false;
  while (!made(LOCK)) {
    const owner = read_owner();
    if (is_stale(owner) && stepped_over(owner)) continue;
    if (Date.now() > deadline) {
      throw new SetupError(
        `waited ${DEADLINE_MS / 60_000} min for ${name_of(owner)}; if it is not running, remove ${LOCK}`,
      );
    }
    if (!told) say(`waiting for ${name_of(owner)}…`);
    told = true;
    await delay(POLL_MS, undefined, { signal: interrupted }).catch(() => interrupted.throwIfAborted());
  }
  write_owner([process.pid]);
  // The child too: an npm whose setup was killed still writes into node_modules.
  on_child((pid) => write_owner([process.pid, pid]));
}

/** By rename, so that nobody reads half of it. */
function write_owner(pids) {
  const processes = pids.map((pid) => ({ pid, start_time: start_time_of(pid) }));
  const draft = `${OWNER}.draft`;
  writeFileSync(draft, JSON.stringify({ processes, hostname: hostname() }));
  renameSync(draft, OWNER);
}

/** Renamed away first: emptied in place, the lock would for a moment look like one whose owner has no name. */
function discard() {
  const away = `${LOCK}.${process.pid}`;
  try {
    renameSync(LOCK, away);
  } catch (error) {
    // Removed by hand, as the deadline's message says one may.
    if (error.code !== "ENOENT") throw error;
  }
  rmSync(away, { recursive: true, force: true });
}

/** Removes the lock of an owner that is gone. Two waiters may see that at once: only one can make `breaking`, and it looks again. */
function stepped_over(owner) {
  const breaking = join(LOCK, "breaking");
  try {
    if (!made(breaking)) return false;
    if (JSON.stringify(read_owner()) === JSON.stringify(owner)) discard();
    else rmdirSync(breaking);
    return true;
  } catch (error) {
    // The lock went away in between: it is free, or somebody else's by now.
    if (error.code !== "ENOENT") throw error;
    return true;
  }
}

function made(directory) {
  try {
    mkdirSync(directory);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    if (error.code === "EACCES" || error.code === "EROFS") {
      throw new SetupError(`something is to be installed or built, but ${ROOT} cannot be written (${error.code})`);
    }
    throw error;
  }
}

function read_owner() {
  try {
    return JSON.parse(readFileSync(OWNER, "utf8"));
  } catch (error) {
    // Not written yet, or the lock is gone.
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

function is_stale(owner) {
  if (owner === null) return (age_ms(LOCK) ?? 0) > NAMELESS_MS;
  // A clone may be shared with a container or another machine, whose pids say nothing here.
  if (owner.hostname !== hostname()) return false;
  return owner.processes.every(({ pid, start_time }) => !is_running(pid) || start_time_of(pid) !== start_time);
}

function age_ms(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat && Date.now() - stat.mtimeMs;
}

function is_running(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== "ESRCH";
  }
}

/** proc_pid_stat(5), field 22: tells a process from a later one with its pid. Null where there is no /proc. */
function start_time_of(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // Field 2 is a name that may hold spaces and brackets: count from behind it.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ESRCH") return null;
    throw error;
  }
}

function name_of(owner) {
  if (owner === null) return "another setup in this clone";
  const where = owner.hostname === hostname() ? "" : ` on ${owner.hostname}`;
  return `another setup in this clone (pid ${owner.processes.map(({ pid }) => pid).join(", ")}${where})`;
}
