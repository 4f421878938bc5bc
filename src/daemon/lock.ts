/**
 * One daemon per workspace. `daemon.json` says who serves (pid, start time, boot), so that a lock left by a killed daemon is known for
 * what it is and taken over at once, and a daemon that is merely stopped (SIGSTOP) is not robbed. Taking the lock and writing
 * `daemon.json` happen under a guard lock: two starters cannot both believe that they took over.
 */
import { readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import write_file_atomic from "write-file-atomic";
import { z } from "zod";
import { type DaemonInfo, daemon_info } from "../contract/daemon-info.ts";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import { daemon_file } from "../contract/paths.ts";
import { boot_id, is_alive, process_ref_of } from "../drivers/procfs.ts";

/** Liveness is judged by pid and start time; the lock's own age only counts on a machine we cannot look into. In ms. */
const STALE_MS = 10 * 60_000;
const UPDATE_MS = 30_000;
/** The guard is held for milliseconds; one that is older was left by a crash. In ms. */
const GUARD_STALE_MS = 5_000;

/** Who serves the workspace, or served it last; null when nobody ever did, or the file is not readable as such. */
export async function read_daemon_info(workspace: string): Promise<DaemonInfo | null> {
  try {
    return daemon_info.parse(JSON.parse(await readFile(daemon_file(workspace), "utf8")));
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENOTDIR") || error instanceof SyntaxError || error instanceof z.ZodError)
      return null;
    throw error;
  }
}

export function daemon_lives(info: DaemonInfo): boolean {
  return info.hostname !== hostname() || (info.boot_id === boot_id() && is_alive(info));
}

export interface WorkspaceLock {
  release(keep_info: boolean): Promise<void>;
}

/** Takes the workspace, or rejects with `daemon_running`. `on_lost` is called when the lock was taken from us. */
export async function lock_workspace(
  workspace: string,
  address: Pick<DaemonInfo, "socket" | "runtime_dir" | "version">,
  on_lost: (reason: string) => void,
): Promise<WorkspaceLock> {
  const lock_path = join(workspace, ".lock");
  const guard = await lockfile
    .lock(`${lock_path}.guard`, {
      lockfilePath: `${lock_path}.guard`,
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
    boot_id: boot_id(),
    hostname: hostname(),
  };
  const lock = () =>
    lockfile.lock(lock_path, {
      lockfilePath: lock_path,
      stale: STALE_MS,
      update: UPDATE_MS,
      realpath: false,
      onCompromised: (error) => void compromised(error),
    });
  let release: () => Promise<void>;
  const compromised = async (error: Error) => {
    const now = await read_daemon_info(workspace).catch(() => null);
    if (now?.pid !== ours.pid || now.start_time !== ours.start_time)
      return on_lost(`another supervisor took the workspace (${error.message})`);
    // A clock that jumped, a lock directory that somebody removed: it is still ours, so take it again.
    try {
      release = await lock();
    } catch (again) {
      on_lost(`the workspace lock was lost: ${message_of(again)}`);
    }
  };
  try {
    const before = await read_daemon_info(workspace);
    if (before && daemon_lives(before)) {
      throw new SupervisorError(
        "daemon_running",
        `a supervisor already serves ${workspace} (pid ${before.pid}); use it, or stop it with 'supervisor stop'`,
      );
    }
    if (before) await rm(lock_path, { recursive: true, force: true });
    release = await lock().catch((error) => {
      throw new SupervisorError(
        "daemon_running",
        `the workspace ${workspace} is locked (${message_of(error)}) and does not say by whom; if no supervisor runs, remove ${lock_path}`,
      );
    });
    await write_file_atomic(daemon_file(workspace), `${JSON.stringify({ ...ours, ...address }, null, 2)}\n`, {
      mode: 0o600,
    });
  } finally {
    await guard();
  }
  return {
    async release(keep_info) {
      if (!keep_info) await rm(daemon_file(workspace), { force: true });
      await release();
    },
  };
}
