/** Whether a unix socket is served. */
import { createConnection } from "node:net";
import { is_errno } from "../../contract/errors.ts";

/** False only when the system says that nobody does: "I can't tell" is somebody. */
export function somebody_listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => resolve(!is_errno(error, "ENOENT", "ECONNREFUSED")));
  });
}
