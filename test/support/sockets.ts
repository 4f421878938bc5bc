/** What a socket says to whoever connects, byte for byte. */
import { createConnection, type Socket } from "node:net";

export function connect(path: string): Promise<Socket> {
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
