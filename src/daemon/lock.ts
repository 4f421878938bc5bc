/**
 * One daemon per workspace. `daemon.json` says who serves (pid, start time, boot, pid namespace), so that a lock left by a killed daemon is known for
 * what it is and taken over at once, and a daemon that is merely stopped (SIGSTOP) is not robbed. Taking the lock and writing
 * `daemon.json` happen under a guard lock: two starters cannot both believe that they took over.
 */
import fs from "node:fs";
import { lstat, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import lockfile from "proper-lockfile";
import { z } from "zod";
import { type DaemonInfo, daemon_info } from "../contract/daemon-info.ts";
import { is_disk_trouble, is_errno, is_used_up, message_of, SupervisorError } from "../contract/errors.ts";
import { ANYWHERE, daemon_file, workspace_option } from "../contract/paths.ts";
import { read_in_place, remove_in_place, replace_in_place } from "../drivers/in-place.ts";
import { boot_id, is_alive, pid_namespace, process_ref_of } from "../drivers/procfs.ts";

/**
 * Liveness is judged by pid and start time. Only where the lock's holder lives on a machine (or in a container) that we cannot look into
 * does the lock's own age count: a daemon renews it each UPDATE_MS, and one that has not for STALE_MS, 20 times as long, is gone. In ms.
 */
const STALE_MS = 10 * 60_000;
const UPDATE_MS = 30_000;
/** How often a lock that was lost to a disk in trouble is tried again, in ms. Nobody waits for it. */
const RETAKE_MS = 5_000;
/** The guard is held for milliseconds; one that is older was left by a crash. In ms. */
const GUARD_STALE_MS = 5_000;

/** Who serves the workspace, or served it last; null when nobody ever did, or the file is not readable as such. */
export async function read_daemon_info(workspace: string): Promise<DaemonInfo | null> {
  try {
    return daemon_info.parse(JSON.parse(await read_in_place(daemon_file(workspace))));
  } catch (error) {
    const unusable = error instanceof SyntaxError || error instanceof z.ZodError || error instanceof SupervisorError;
    if (unusable || is_errno(error, "ENOENT", "ENOTDIR")) return null;
    throw error;
  }
}

type Holder = "alive" | "gone" | "elsewhere";

/**
 * Is that daemon alive? The boot id tells this kernel from every other one, and the pid namespace this container from its neighbours; where both are
 * ours, pid and start time decide, whatever the host is called by now. Another boot under our host name is this machine before a restart.
 */
export function state_of(info: DaemonInfo, here: ReturnType<typeof this_place> = this_place()): Holder {
  if (info.boot_id === here.boot_id && ["", here.pid_namespace].includes(info.pid_namespace))
    return is_alive(info) ? "alive" : "gone";
  return info.boot_id !== here.boot_id && info.hostname === here.hostname ? "gone" : "elsewhere";
}

/** What tells this machine and container from others. */
export function this_place(): Pick<DaemonInfo, "boot_id" | "pid_namespace" | "hostname"> {
  return { boot_id: boot_id(), pid_namespace: pid_namespace(), hostname: hostname() };
}

/** How long ago the lock was renewed, in ms; null when there is none. A clock that is ahead of ours makes it fresh. */
async function lock_age(workspace: string): Promise<number | null> {
  try {
    return Date.now() - (await lstat(lock_of(workspace))).mtimeMs;
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}

/** Rejects with `daemon_running`, with what to do, unless the daemon before us is gone. */
async function refuse_living(workspace: string, before: DaemonInfo): Promise<void> {
  const state = state_of(before);
  if (state === "alive")
    throw new SupervisorError(
      "daemon_running",
      `a supervisor already serves ${workspace} (pid ${before.pid}); use it, or stop it with 'supervisor stop${workspace_option(workspace, ANYWHERE)}'`,
    );
  if (state === "gone") return;
  const age = await lock_age(workspace);
  if (age === null || age > STALE_MS) return;
  throw new SupervisorError(
    "daemon_running",
    `a supervisor on another machine or in another container, '${before.hostname}' (pid ${before.pid}), renewed its lock on ${workspace} ${Math.max(0, Math.round(age / 1000))} s ago; stop it there, or, if that one no longer runs, remove ${lock_of(workspace)} and start again`,
  );
}

/** proper-lockfile makes its directories with what the umask leaves; under umask 000 anybody could put a file into them, and they could not be removed. */
const PRIVATE_FS = {
  ...fs,
  mkdir: (path: string, done: fs.NoParamCallback) => fs.mkdir(path, { mode: 0o700 }, done),
};

const lock_of = (workspace: string) => join(workspace, ".lock");

export interface WorkspaceLock {
  release(keep_info: boolean): Promise<void>;
}

/** Takes the workspace, or rejects with `daemon_running`. `on_lost` is called when the lock was taken from us. */
export async function lock_workspace(
  workspace: string,
  address: Pick<DaemonInfo, "socket" | "runtime_dir" | "version">,
  on_lost: (reason: string) => void,
): Promise<WorkspaceLock> {
  const lock_path = lock_of(workspace);
  const guard = await lockfile
    .lock(`${lock_path}.guard`, {
      lockfilePath: `${lock_path}.guard`,
      fs: PRIVATE_FS,
      stale: GUARD_STALE_MS,
      realpath: false,
      retries: { retries: 40, minTimeout: 50, maxTimeout: 250 },
    })
    .catch((error) => {
      throw new SupervisorError(
        "workspace_unusable",
        `the workspace ${workspace} cannot be locked: ${message_of(error)}`,
      );
    });
  const ours = {
    pid: process.pid,
    start_time: process_ref_of(process.pid)?.start_time ?? 0,
    ...this_place(),
  };
  const lock = () =>
    lockfile.lock(lock_path, {
      lockfilePath: lock_path,
      fs: PRIVATE_FS,
      stale: STALE_MS,
      update: UPDATE_MS,
      realpath: false,
      onCompromised: (error) => void compromised(error),
    });
  let release: () => Promise<void>;
  let over = false;
  /**
   * The lock is not as we left it: its time was changed (by a clock, a backup, a person), it was removed, or it could not be renewed for long.
   * It is still ours as long as `daemon.json` says so, for nobody takes it from a living daemon: then it is taken again. A disk that
   * does not let us look is asked until it does; nobody else can write there either.
   */
  const compromised = async (error: Error) => {
    while (!over) {
      try {
        const now = await read_daemon_info(workspace);
        if (now?.pid !== ours.pid || now.start_time !== ours.start_time)
          return on_lost(
            now
              ? `another supervisor (pid ${now.pid}) took the workspace (${error.message})`
              : `${daemon_file(workspace)} is gone (${error.message})`,
          );
        await rm(lock_path, { recursive: true, force: true });
        release = await lock();
        return;
      } catch (again) {
        if (!is_disk_trouble(again) && !is_used_up(again))
          return on_lost(`the workspace lock was lost: ${message_of(again)}`);
        await delay(RETAKE_MS, undefined, { ref: false });
      }
    }
  };
  try {
    const before = await read_daemon_info(workspace);
    if (before) await refuse_living(workspace, before);
    if (before) await rm(lock_path, { recursive: true, force: true });
    release = await lock().catch((error) => {
      throw new SupervisorError(
        "daemon_running",
        `the workspace ${workspace} is locked (${message_of(error)}) and does not say by whom; if no supervisor runs, remove ${lock_path}`,
      );
    });
    await replace_in_place(daemon_file(workspace), `${JSON.stringify({ ...ours, ...address }, null, 2)}\n`);
  } finally {
    await guard();
  }
  return {
    async release(keep_info) {
      over = true;
      if (!keep_info) await remove_in_place(daemon_file(workspace));
      await release().catch((error) => {
        // It was lost and could not be taken again yet: there is nothing of ours to give back.
        if (!is_errno(error, "ERELEASED", "ENOTACQUIRED")) throw error;
      });
    },
  };
}
