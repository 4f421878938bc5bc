/**
 * Asks the tmux server for the host's pane, after a hang-up. The host asks by itself, because no daemon may be there. A frozen server
 * is waited for without a deadline: until it goes on or dies nobody can know why the pane is gone, and the agent just runs.
 */
import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { ProcessRef } from "../contract/receipt.ts";
import { is_alive } from "../drivers/procfs.ts";
import { when_possible } from "../drivers/when-possible.ts";

/** A pane as tmux knows it: by the process it was started with, or by its terminal. */
export type PaneMark = { pid: number } | { tty: string };

/** How soon a server that lives, but of which nothing could be learned (no process can be started, it is just leaving), is asked again,
 * doubled with each try. In ms. */
const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 10_000;

/**
 * What became of the pane: `there`, nothing has happened to it; `closed`, its session was killed on purpose, for the very server that had it
 * answers and knows it no more; `server_died`, with everybody's sessions. That somebody accepts on the socket proves nothing: a server that was
 * told to end (`kill-server`) hangs up its panes while its socket still accepts, and a new server may already listen there. Rejects when aborted.
 */
export async function what_became_of(
  pane: PaneMark,
  socket: string,
  server: ProcessRef | null,
  signal: AbortSignal,
): Promise<"there" | "closed" | "server_died"> {
  for (let pause_ms = FIRST_PAUSE_MS; ; pause_ms = Math.min(2 * pause_ms, LAST_PAUSE_MS)) {
    if (!server || (await when_possible(() => !is_alive(server), { signal }))) return "server_died";
    const answer = await list_panes(socket, signal);
    // Another server on its socket: ours can never be asked again.
    if (answer && answer.server_pid !== server.pid) return "server_died";
    if (answer) {
      const found = answer.panes.some((one) => ("pid" in pane ? one.pid === pane.pid : one.tty === pane.tty));
      return found ? "there" : "closed";
    }
    // "I can't tell" must not end an agent, nor give it a second pane.
    await delay(pause_ms, undefined, { signal });
  }
}

interface Panes {
  server_pid: number;
  panes: { pid: number; tty: string }[];
}

/** One question, one answer: no session may come or go in between. Null when there is no answer. */
function list_panes(socket: string, signal: AbortSignal): Promise<Panes | null> {
  const format = "#{pid}\n#{S:#{W:#{P:#{pane_pid} #{pane_tty}\n}}}";
  return new Promise((resolve) => {
    // KILL: a client that is asked to leave tells its server first, and waits for a frozen one.
    const options = { signal, killSignal: "SIGKILL" } as const;
    execFile("tmux", ["-S", socket, "display-message", "-p", format], options, (error, stdout) => {
      const [server_pid, ...lines] = stdout.split("\n").filter(Boolean);
      const panes = lines.map((line) => ({ pid: Number(line.split(" ")[0]), tty: line.split(" ")[1] ?? "" }));
      resolve(error || !server_pid ? null : { server_pid: Number(server_pid), panes });
    });
  });
}
