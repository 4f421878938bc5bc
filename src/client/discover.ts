/** Finds the daemon of a workspace: by SUPERVISOR_SOCKET (inside an agent), else by what the daemon wrote into the workspace. */
import { constants } from "node:fs";
import { readFile } from "node:fs/promises";
import type { DaemonInfo } from "../contract/daemon-info.ts";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import { daemon_file, workspace_option } from "../contract/paths.ts";
import { Client, no_daemon } from "./client.ts";

/** `on_silence` is told, in a sentence for a person, when that daemon does not answer a call. `cwd` is where commands are typed that an error names. */
export async function discover(
  workspace: string,
  cwd: string,
  socket: string | undefined,
  on_silence?: (text: string) => void,
): Promise<Client> {
  if (socket) return new Client(socket, on_silence && { on_silence, pid: null });
  const option = workspace_option(workspace, cwd);
  const daemon = await read_daemon_file(workspace, option);
  return new Client(daemon.socket, on_silence && { on_silence, pid: daemon.pid }, workspace, option);
}

/** Rejects with `no_daemon` when nobody ever served the workspace, and with `daemon_info_unreadable` when the file cannot be used. */
async function read_daemon_file(workspace: string, option: string): Promise<Address> {
  const path = daemon_file(workspace);
  try {
    const text = await readFile(path, { encoding: "utf8", flag: constants.O_RDONLY | constants.O_NOFOLLOW });
    return addressed(JSON.parse(text));
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENOTDIR")) throw no_daemon(workspace, option);
    throw new SupervisorError(
      "daemon_info_unreadable",
      `${path} does not say who serves the workspace (${message_of(error)}); end the supervisor that runs for it, if one does, remove the file, and start again with 'supervisor start${option}'`,
    );
  }
}

type Address = Pick<DaemonInfo, "socket" | "pid">;

/** Looked at by hand, and no further than a client needs: the schema would load zod in every command. */
function addressed(value: unknown): Address {
  const { socket, pid } = (value ?? {}) as Partial<Record<keyof Address, unknown>>;
  if (typeof socket !== "string") throw new Error("socket is missing or wrong");
  if (typeof pid !== "number" || !Number.isInteger(pid)) throw new Error("pid is missing or wrong");
  return { socket, pid };
}
