/** Finds the daemon of a workspace: by SUPERVISOR_SOCKET (inside an agent), else by what the daemon wrote into the workspace. */
import type { DaemonInfo } from "../contract/daemon-info.ts";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import { daemon_file, workspace_option } from "../contract/paths.ts";
import { Client, no_daemon } from "./client.ts";
import { read_daemon_json } from "./daemon-json.ts";

/** `on_silence` is told, in a sentence for a person, when that daemon does not answer a call. `cwd` is where commands are typed that an error names. */
export async function discover(
  workspace: string,
  cwd: string,
  socket: string | undefined,
  on_silence?: (text: string) => void,
): Promise<Client> {
  if (socket) return new Client(socket, on_silence && { on_silence, pid: null });
  const option = workspace_option(workspace, cwd);
  const daemon = await address_of(workspace, option);
  return new Client(daemon.socket, on_silence && { on_silence, pid: daemon.pid }, workspace, option);
}

/** Rejects with `no_daemon` when nobody ever served the workspace, and with `daemon_info_unreadable` when the file cannot be used. */
async function address_of(workspace: string, option: string): Promise<Pick<DaemonInfo, "socket" | "pid">> {
  try {
    const { socket, pid } = await read_daemon_json(workspace);
    if (socket === undefined) throw new Error("socket is missing or wrong");
    if (pid === undefined || !Number.isInteger(pid)) throw new Error("pid is missing or wrong");
    return { socket, pid };
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENOTDIR")) throw no_daemon(workspace, option);
    throw new SupervisorError(
      "daemon_info_unreadable",
      `${daemon_file(workspace)} does not say who serves the workspace (${message_of(error)}); end the supervisor that runs for it, if one does, remove the file, and start again with 'supervisor start${option}'`,
    );
  }
}
