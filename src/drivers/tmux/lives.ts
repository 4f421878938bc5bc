/** Whether a tmux server runs, asked of its socket and not by a client: the start of one costs some ms. */
import { stat } from "node:fs/promises";
import { createConnection } from "node:net";
import { is_errno, is_used_up } from "../../contract/errors.ts";

/** True when a tmux server accepts on this socket. Rejects when that cannot be found out: no descriptor is free. */
export function server_lives(socket_path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socket_path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: so many wait to be accepted that no more fit; it is frozen, not gone (unix(7)).
    socket.once("error", (error) => (is_used_up(error) ? reject(error) : resolve(is_errno(error, "EAGAIN"))));
  });
}

/**
 * Tells a server from the next one on the same socket: each makes its own socket file (by inode and birth time, statx(2)). Null when none accepts. Rejects as
 * `server_lives` does.
 */
export async function server_mark(socket_path: string): Promise<string | null> {
  const there = await stat(socket_path, { bigint: true }).catch((error) => {
    if (is_errno(error, "ENOENT", "ENOTDIR")) return null;
    throw error;
  });
  return there && (await server_lives(socket_path)) ? `${there.ino} ${there.birthtimeNs}` : null;
}
