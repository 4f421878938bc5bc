// Waiting for files to grow (inotify, by fs.watch) and for processes to go.
import { readdirSync, readFileSync, statSync, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DEADLINE_MS, in_time } from "./undo.mjs";

/** Resolves when the file has at least so many bytes. Woken by the kernel alone: no timer, no look without a change. */
export async function grown_to(path, bytes = 1, deadline_ms = DEADLINE_MS) {
  await next_file(dirname(path), (name) => name === basename(path), bytes, deadline_ms).found;
}

/**
 * Watches a directory, from the return of this call, for a file that `wanted` accepts to have so many bytes. `found` is
 * its path; `stop` gives up, for a wait that something else has ended.
 */
export function next_file(directory, wanted, bytes = 1, deadline_ms = DEADLINE_MS) {
  const watcher = watch(directory);
  const found = new Promise((resolve, reject) => {
    const looking = new Map();
    const look = async (name) => {
      if (looking.has(name)) {
        looking.set(name, "again");
        return;
      }
      // A change during the stat may be newer than its answer, so it is asked again.
      do {
        looking.set(name, "now");
        const facts = await stat(join(directory, name)).catch((error) => {
          if (error.code !== "ENOENT") throw error;
          return null;
        });
        if (facts && facts.size >= bytes) resolve(join(directory, name));
      } while (looking.get(name) === "again");
      looking.delete(name);
    };
    const look_if_wanted = (name) => name && wanted(name) && look(name).catch(reject);
    watcher.on("change", (_kind, name) => look_if_wanted(name));
    watcher.on("error", reject);
    watcher.on("close", () => reject(new Error(`nobody waits for a file in ${directory} any more`)));
    // What was there before the watch began has no event.
    for (const name of readdirSync(directory)) look_if_wanted(name);
  });
  const waited_for = () =>
    `${bytes} bytes in ${directory}, where there is: ${
      readdirSync(directory)
        .filter(wanted)
        .map((name) => `${name} (${statSync(join(directory, name)).size})`)
        .join(", ") || "nothing"
    }`;
  return {
    found: in_time(found, waited_for, deadline_ms).finally(() => watcher.close()),
    stop: () => watcher.close(),
  };
}

/** State and start time of a process (proc_pid_stat(5)); null when it is gone. */
function stat_of(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0], started: Number(fields[19]) };
  } catch (error) {
    // ESRCH: it went between the open and the read.
    if (error.code === "ENOENT" || error.code === "ESRCH") return null;
    throw error;
  }
}

/** Start time in clock ticks since boot, which with the pid names one process; null when it is gone. */
export const start_time = (pid) => stat_of(pid)?.started ?? null;

/**
 * Resolves when the process has ended: it has left /proc, or is a zombie there. A zombie waits for its parent alone, which for an agent
 * whose shell went first is init, and how soon init looks is not the system's doing (seen: two seconds). A look each millisecond,
 * which is what the figure may be too long by.
 */
export async function gone(pid, started) {
  const until = performance.now() + 30_000;
  for (let facts = stat_of(pid); facts && facts.started === started && facts.state !== "Z"; facts = stat_of(pid)) {
    if (performance.now() > until) throw new Error(`waited 30 s for process ${pid} to go`);
    await delay(1);
  }
}
