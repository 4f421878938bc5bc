/**
 * Commands that start a server where none runs: one client at a time. tmux guards a start by a lock file beside its socket, which goes with the start. But a client
 * that found no server, and takes the lock when another one's start is just over, needs no start and leaves the file (tmux 3.3a, client_connect): the runtime directory
 * would stay for ever. Two that begin together come to that when the machine is busy. So one may start it, the others wait for that one, and are told to start none (`-N`).
 */
import { DEADLINE_MS, not_asked, type TmuxAnswer, type TmuxServer, tmux } from "./client.ts";
import { server_lives } from "./lives.ts";

/** The one client that may start a server, by the server's socket. Never rejects. */
const starts = new Map<string, Promise<TmuxAnswer | null>>();

/** Runs one tmux command, on a server that is started by it if none runs. */
export async function tmux_or_start(server: TmuxServer, args: string[], input?: string): Promise<TmuxAnswer> {
  try {
    while (!(await server_lives(server.socket))) {
      const other = starts.get(server.socket);
      if (!other) return await start(server, args, input);
      const answer = await other;
      // What holds a server's start up holds up the next one as well.
      if (answer && answer.silent !== null) return answer;
    }
  } catch (error) {
    return not_asked(error);
  }
  return tmux(server, ["-N", ...args], DEADLINE_MS, input);
}

function start(server: TmuxServer, args: string[], input?: string): Promise<TmuxAnswer> {
  const work = tmux(server, args, DEADLINE_MS, input).finally(() => starts.delete(server.socket));
  starts.set(
    server.socket,
    work.catch(() => null /* told to whoever asked */),
  );
  return work;
}
