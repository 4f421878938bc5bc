/**
 * Sees a daemon leave that was told to stop. What is typed after `supervisor stop` (a start, the removal of the workspace) must not meet one that
 * still writes. Its process tells: its socket closes before its last writes, and daemon.json stays where agents go on.
 */
import { setTimeout as delay } from "node:timers/promises";
import { read_daemon_json } from "../client/daemon-json.ts";
import { is_errno, SupervisorError } from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { boot_id, is_alive, pid_namespace } from "../drivers/procfs.ts";

/** The kernel tells only parents of an end; to look costs one read. In ms. */
const LOOK_MS = 20;
/** A stop with nothing to finish takes a fraction of a second; past this a person wants to know what it waits for. In ms. */
const SAY_AFTER_MS = 10_000;
/** The grace that agents have by default and the daemon's patience with ends beyond it (45 s together), and some more, so that a script does not hang for ever. In ms. */
const GIVE_UP_MS = 60_000;

/** The process that serves on this socket; null where it cannot be looked at: on another machine, in another container, or the file does not say. */
export async function daemon_on(socket: string, workspace: string): Promise<ProcessRef | null> {
  let info: Awaited<ReturnType<typeof read_daemon_json>>;
  try {
    info = await read_daemon_json(workspace);
  } catch (error) {
    if (error instanceof SyntaxError || is_errno(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP")) return null;
    throw error;
  }
  const { pid, start_time } = info;
  const here = info.boot_id === boot_id() && info.pid_namespace === pid_namespace();
  if (!here || info.socket !== socket || pid === undefined || start_time === undefined) return null;
  return { pid, start_time };
}

/** Resolves when the daemon has gone. `say` is told once when that takes long; rejects with `timeout` when it takes longer still. */
export async function departure(
  daemon: ProcessRef,
  say: (text: string) => void,
  { say_after_ms = SAY_AFTER_MS, give_up_ms = GIVE_UP_MS } = {},
): Promise<void> {
  const who = `the supervisor (pid ${daemon.pid})`;
  const began = performance.now();
  let said = false;
  while (is_alive(daemon)) {
    const waited = performance.now() - began;
    if (waited > give_up_ms)
      throw new SupervisorError(
        "timeout",
        `${who} was told to stop and had not left after ${Math.round(waited / 1000)} s; it leaves when the ends under way are complete and what it knows is on the disk; its own output says what it waits for`,
      );
    if (waited > say_after_ms && !said) {
      said = true;
      say(`${who} finishes the ends under way before it leaves. Waiting on; Ctrl-C leaves it to that.`);
    }
    await delay(LOOK_MS);
  }
}
