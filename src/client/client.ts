/**
 * The typed client: one method for every operation, over the daemon's unix socket. Knows nothing but HTTP; a daemon that is not there
 * is `no_daemon`, one that goes away in between is `daemon_gone`.
 */
import { request as http_request, type IncomingMessage } from "node:http";
import { ERRORS, type ErrorCode, is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import type { Answer, CallRequest, OperationName } from "../contract/operations.ts";
import { with_workspace } from "../contract/paths.ts";
import { when_there_is_room } from "./crowd.ts";
import { type Patience, watch_silence } from "./silence.ts";
import { ROUTES } from "./table.ts";

export class Client {
  /** With `patience`, a daemon that does not answer at all is said, and given up after a while; without, it is waited for. */
  constructor(
    readonly socket: string,
    private readonly patience?: Patience,
    /** What the daemon serves, for the error that it does not; the socket where that is all that is known. */
    private readonly where = socket,
    /** What a command needs to be for the same workspace. */
    private readonly option = "",
  ) {}

  /**
   * Calls an operation. Rejects with the daemon's own error. A signal that is aborted hangs up, and its reason is the error; what the daemon began
   * goes on.
   */
  async call<N extends OperationName>(
    name: N,
    request: CallRequest<N> = {},
    options: { signal?: AbortSignal } = {},
  ): Promise<Answer<N>> {
    const response = await this.open(name, request, options.signal);
    return JSON.parse(await this.text_of(response, options.signal)) as Answer<N>;
  }

  /** Calls an operation that answers with a stream. */
  async stream<N extends OperationName>(
    name: N,
    request: CallRequest<N> = {},
    options: { signal?: AbortSignal } = {},
  ): Promise<IncomingMessage> {
    return this.open(name, request, options.signal);
  }

  private async open<N extends OperationName>(
    name: N,
    request: CallRequest<N>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const { method } = ROUTES[name];
    const body = method === "POST" ? to_json(request.body ?? {}) : undefined;
    const given_up = new AbortController();
    const forget = signal ? pass_on(signal, given_up) : () => undefined;
    const ask = () =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const outgoing = http_request(
          {
            socketPath: this.socket,
            // A kept connection cannot tell a daemon that was gone before the request from one that died over it.
            agent: false,
            method,
            path: url_of(name, request),
            signal: given_up.signal,
            headers: body === undefined ? {} : { "content-type": "application/json" },
          },
          resolve,
        );
        outgoing.once("error", reject);
        outgoing.end(body);
      });
    // Whoever waits for an agent's end waits for as long as that takes.
    const stop_watching =
      this.patience && watch_silence(this.socket, this.patience, name === "wait", (error) => given_up.abort(error));
    const patience_ms = this.patience ? Number.POSITIVE_INFINITY : undefined;
    const response = await when_there_is_room(ask, given_up.signal, patience_ms)
      .catch((error) => {
        forget();
        throw given_up.signal.aborted ? given_up.signal.reason : this.unreachable(error);
      })
      .finally(() => stop_watching?.());
    response.once("close", forget);
    if ((response.statusCode ?? 500) < 400) return response;
    throw to_error(await this.text_of(response, signal), this.option);
  }

  private async text_of(response: IncomingMessage, signal: AbortSignal | undefined): Promise<string> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response) chunks.push(chunk as Buffer);
    } catch (error) {
      throw signal?.aborted ? signal.reason : this.gone("while", error);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  /** The error of a daemon that went away before it answered, or while it did. */
  gone(when: "before" | "while", error: unknown): SupervisorError {
    return new SupervisorError(
      "daemon_gone",
      `the supervisor went away ${when} it answered (${message_of(error)}); is it still running? ('supervisor ps${this.option}')`,
    );
  }

  private unreachable(error: Error): SupervisorError {
    if (is_errno(error, "ENOENT", "ECONNREFUSED"))
      return this.where === this.socket ? nobody_on(this.socket) : no_daemon(this.where, this.option);
    if (is_errno(error, "EAGAIN"))
      return new SupervisorError(
        "timeout",
        `so many wait for the supervisor on ${this.where} that no more can ('${error.message}'); is it stopped? ('supervisor ps${this.option}')`,
      );
    return this.gone("before", error);
  }
}

/**
 * Aborts the call with the signal of whoever made it. Returns what ends that: such a signal may see thousands of calls, and one that AbortSignal.any
 * makes of it stays in it for good.
 */
function pass_on(signal: AbortSignal, call: AbortController): () => void {
  const abort = () => call.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}

/** The error of a command that finds no daemon. `option` names the workspace to who starts one, if it must be named. */
export function no_daemon(where: string, option: string): SupervisorError {
  return new SupervisorError(
    "no_daemon",
    `no supervisor is running for ${where}; start one with 'supervisor start${option}'`,
  );
}

/** Who knows a socket alone is inside an agent: its supervisor was there when it was deployed, and is not for it to start. */
function nobody_on(socket: string): SupervisorError {
  return new SupervisorError(
    "no_daemon",
    `no supervisor is running on ${socket}: it was stopped, or died; try again when whoever runs it has started it again`,
  );
}

function url_of<N extends OperationName>(name: N, request: CallRequest<N>): string {
  const params = (request.params ?? {}) as Record<string, string>;
  const path = ROUTES[name].path.replace(/:(\w+)/g, (_all, key: string) => encodeURIComponent(params[key] ?? ""));
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(request.query ?? {}))
    if (value !== undefined) query.set(key, String(value));
  return query.size > 0 ? `${path}?${query}` : path;
}

/** JSON.stringify is recursive: what was read as JSON from elsewhere may be too deep for it. */
function to_json(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new SupervisorError("invalid_request", `the request cannot be sent as JSON: ${message_of(error)}`);
  }
}

/** The daemon's error, with commands that are for its workspace where they are typed. */
function to_error(text: string, option: string): SupervisorError {
  try {
    const { error, code } = JSON.parse(text) as { error: string; code: string };
    return new SupervisorError(code in ERRORS ? (code as ErrorCode) : "internal", with_workspace(error, option));
  } catch {
    return new SupervisorError("internal", `the supervisor answered what is not JSON: ${text.slice(0, 200)}`);
  }
}
