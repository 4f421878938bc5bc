/** What a socket says to whoever connects, byte for byte. */
import { createConnection, type Socket } from "node:net";
import { when_there_is_room } from "../../src/client/crowd.ts";

/** Waits for its turn where many connect at once. */
export function connect(path: string): Promise<Socket> {
  return when_there_is_room(() => connect_at_once(path));
}

/** Rejects with EAGAIN when so many wait that no more can. */
export function connect_at_once(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}

/** Sends `text`, and resolves with all that is said until the other side hangs up. */
export async function converse(path: string, text: string | Buffer, end = false): Promise<string> {
  const socket = await connect(path);
  socket.setEncoding("latin1");
  let said = "";
  return new Promise((resolve) => {
    socket.on("data", (chunk) => {
      said += chunk;
    });
    // ECONNRESET, EPIPE: it hung up before it had read everything.
    socket.on("error", () => {});
    socket.on("close", () => resolve(said));
    if (end) socket.end(text);
    else socket.write(text);
  });
}
