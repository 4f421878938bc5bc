/** Finds the daemon of a workspace: by SUPERVISOR_SOCKET (inside an agent), else by what the daemon wrote into the workspace. */
import { readFile } from "node:fs/promises";
import { daemon_info } from "../contract/daemon-info.ts";
import { is_errno } from "../contract/errors.ts";
import { daemon_file } from "../contract/paths.ts";
import { Client, no_daemon } from "./client.ts";

export async function discover(workspace: string, socket?: string): Promise<Client> {
  if (socket) return new Client(socket);
  try {
    return new Client(daemon_info.parse(JSON.parse(await readFile(daemon_file(workspace), "utf8"))).socket);
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENOTDIR")) throw no_daemon(workspace);
    throw error;
  }
}
