/** The private directory for sockets and pipes: which one it is, that it is ours alone, and that a daemon without agents leaves none. */
import { chmod, lstat, mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { DaemonInfo } from "../contract/daemon-info.ts";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import { is_runtime_dir, runtime_dir_of, SOCKET_PATH_BYTES, tmux_socket } from "../contract/paths.ts";
import { server_lives } from "../drivers/tmux/lives.ts";
import { state_of } from "./lock.ts";

/** The directory of the daemon before us while it holds hosts, else the one that follows from the workspace; the temp dir if that is too long. */
export async function choose_runtime_dir(workspace: string, base: string, before: DaemonInfo | null): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const usable = before && state_of(before) !== "alive" && is_runtime_dir(before.runtime_dir, uid);
  if (usable && (await is_ours(before.runtime_dir))) return before.runtime_dir;
  for (const place of [base, "/tmp"]) {
    const dir = runtime_dir_of(place, uid, workspace);
    // The longest name in it is a host's pipe: HHMMSS-xxxxxx.sock.out
    if (Buffer.byteLength(`${dir}/000000-000000.sock.out`) <= SOCKET_PATH_BYTES) return dir;
  }
  throw new SupervisorError(
    "runtime_dir_unusable",
    `${base} is too long for a unix socket (${SOCKET_PATH_BYTES} bytes); set XDG_RUNTIME_DIR to a shorter directory`,
  );
}

async function is_ours(dir: string): Promise<boolean> {
  try {
    const facts = await lstat(dir);
    return facts.isDirectory() && facts.uid === process.getuid?.();
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** Makes it private (0700), and refuses one that somebody else made, or a link. */
export async function prepare_runtime_dir(dir: string): Promise<void> {
  try {
    for (const one of [dirname(dir), dir]) {
      await mkdir(one, { mode: 0o700 }).catch((error) => {
        if (!is_errno(error, "EEXIST")) throw error;
      });
      if (!(await is_ours(one))) throw new Error(`${one} belongs to another user, or is not a directory`);
      await chmod(one, 0o700);
    }
  } catch (error) {
    throw new SupervisorError(
      "runtime_dir_unusable",
      `the private directory ${dir} cannot be used: ${message_of(error)}; set XDG_RUNTIME_DIR to a directory of yours`,
    );
  }
}

/** Removes what a daemon without agents leaves: nothing. A tmux server that still runs keeps its socket. */
export async function remove_runtime_dir(dir: string): Promise<void> {
  if (await server_lives(tmux_socket(dir))) return;
  for (const name of await readdir(dir))
    if (/^(d\.sock|t\.sock(\.lock)?|tmux\.conf|canary|hooks|start\.failed)$/.test(name))
      await rm(`${dir}/${name}`, { force: true });
  for (const one of [dir, dirname(dir)]) {
    await rmdir(one).catch((error) => {
      if (!is_errno(error, "ENOTEMPTY", "ENOENT", "EEXIST")) throw error;
    });
  }
}
