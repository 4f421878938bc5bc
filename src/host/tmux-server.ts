/**
 * Asks the tmux server whether it lives, after a pane hung up. The host asks by itself, because no daemon may be there. A frozen server
 * is waited for without a deadline: until it goes on or dies nobody can know why the pane is gone, and the agent just runs.
 */
import { execFile } from "node:child_process";
import type { ProcessRef } from "../contract/receipt.ts";
import { is_alive } from "../drivers/procfs.ts";

/**
 * True when this very server answers. That somebody accepts on the socket proves nothing: a server that was told to end
 * (`kill-server`) hangs up its panes while its socket still accepts, and a new server may already listen there.
 * False also when tmux cannot be asked: "I can't tell" must not end an agent.
 */
export function server_answers(socket: string, server: ProcessRef | null, signal: AbortSignal): Promise<boolean> {
  if (!server || !is_alive(server)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const args = ["-S", socket, "display-message", "-p", "#{pid}"];
    // KILL: a client that is asked to leave tells its server first, and waits for a frozen one.
    execFile("tmux", args, { signal, killSignal: "SIGKILL" }, (error, stdout) =>
      resolve(!error && Number(stdout) === server.pid),
    );
  });
}
