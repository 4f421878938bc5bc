/**
 * The control socket of one host. Daemons connect to it, one after the other as they come and go; everything said is one
 * JSON object a line. A slow daemon costs memory for its unread lines and nothing else; a daemon that is gone is no reason
 * to stop: the agent goes on.
 */
import { renameSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { deferred } from "../contract/deferred.ts";
import type { HostEvent, HostRequest } from "../contract/host-protocol.ts";
import { line_reader } from "../contract/json-lines.ts";

/** Unread bytes after which a daemon is taken for dead and its connection dropped. Events are small and few. */
const UNREAD_LIMIT_BYTES = 4 * 1024 * 1024;
/** The longest request is a launch, whose command and environment the kernel limits to some megabytes (execve(2)); JSON may escape them. In characters. */
const REQUEST_LIMIT = 64 * 1024 * 1024;

export type RequestHandler = (request: HostRequest) => Promise<unknown>;

export class Control {
  private readonly connections = new Set<Socket>();
  private readonly server: Server;
  private on_gone: (() => void) | null = null;
  private readonly first = deferred();
  /** Resolves when a daemon has connected for the first time. */
  readonly came = this.first.promise;

  constructor(private readonly handle: RequestHandler) {
    this.server = createServer((socket) => this.serve(socket));
  }

  get connected(): boolean {
    return this.connections.size > 0;
  }

  /** Listens. The socket appears under its name only when it already accepts, so whoever sees it can connect. */
  async listen(path: string): Promise<void> {
    const unready = `${path}.new`;
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      // bind(2) makes the file, within this call, with what the umask leaves: it is the owner's alone from its first moment.
      const umask = process.umask(0o177);
      this.server.listen(unready, resolve);
      process.umask(umask);
    });
    // Nobody could be let in: no descriptor is free. Who wanted to come tries again, and the agent goes on.
    this.server.on("error", () => undefined);
    renameSync(unready, path);
  }

  /** Tells every connected daemon. */
  send(event: HostEvent): void {
    for (const socket of this.connections) this.write(socket, event);
  }

  /** Resolves when no daemon is connected any more. */
  async gone(): Promise<void> {
    if (!this.connected) return;
    await new Promise<void>((resolve) => {
      this.on_gone = resolve;
    });
  }

  /** Stops listening and hangs up, after what was said has been sent. */
  close(): void {
    this.server.close();
    for (const socket of this.connections) socket.end();
  }

  private serve(socket: Socket): void {
    this.connections.add(socket);
    this.first.resolve();
    // ECONNRESET and EPIPE: the daemon died. "close" follows and is what counts.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.connections.delete(socket);
      if (!this.connected) this.on_gone?.();
    });
    const lines = line_reader(
      REQUEST_LIMIT,
      (line) => void this.answer(socket, line),
      () => socket.destroy(),
    );
    socket.on("data", (chunk) => lines.push(chunk));
  }

  private async answer(socket: Socket, line: string): Promise<void> {
    const request = parse(line);
    if (!request) {
      this.write(socket, { id: 0, ok: false, code: "invalid_request", message: "not a request" });
      return;
    }
    try {
      const result = await this.handle(request);
      this.write(socket, { id: request.id, ok: true, result: result ?? null });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      this.write(socket, { id: request.id, ok: false, code: code ?? "internal", message });
    }
  }

  private write(socket: Socket, value: unknown): void {
    if (socket.destroyed) return;
    socket.write(`${JSON.stringify(value)}\n`);
    if (socket.writableLength > UNREAD_LIMIT_BYTES) socket.destroy();
  }
}

/** The other side is the same user's daemon behind a 0700 directory; what is checked is that it is a request at all. */
function parse(line: string): HostRequest | null {
  try {
    const value: unknown = JSON.parse(line);
    const { type, id } = value as { type?: unknown; id?: unknown };
    return typeof type === "string" && typeof id === "number" ? (value as HostRequest) : null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
