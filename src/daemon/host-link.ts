/**
 * The daemon's end of a host's control socket. The host is a process of its own that outlives the daemon: when it is slow, a
 * request ends at its deadline; when it is gone, every open request is rejected and `gone` resolves.
 */
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { deferred } from "../contract/deferred.ts";
import { ERRORS, type ErrorCode, message_of, SupervisorError } from "../contract/errors.ts";
import {
  type HostEvent,
  type HostFacts,
  type HostRequest,
  host_facts,
  host_message,
  type PaneState,
} from "../contract/host-protocol.ts";
import { HOST_PROTOCOL } from "../contract/protocol-version.ts";
import type { ClosedReport, ProcessRef } from "../contract/receipt.ts";

/** A host answers within a millisecond or two; one that takes this long is stopped or wedged. In ms. */
const REQUEST_DEADLINE_MS = 10_000;

type Request = HostRequest extends infer R ? (R extends unknown ? Omit<R, "id"> : never) : never;

export class HostLink {
  readonly gone: Promise<void>;
  /** Resolves with the host's report when it has closed everything. */
  readonly closed: Promise<ClosedReport>;
  private readonly closed_handle = deferred<ClosedReport>();
  private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private last_id = 0;
  stalled: string | null = null;
  /** The host's view, as it last said; null before it said anything, and with a host that never does (protocol 1). */
  pane: PaneState | null = null;
  /** The tmux server that has the host's pane, as far as the host said. */
  tmux_server: ProcessRef | null = null;
  /** Called when the view changes. */
  on_pane: (state: PaneState) => void = () => {};

  private constructor(
    readonly agent_id: string,
    private readonly socket: Socket,
    private readonly on_event: (event: HostEvent) => void,
  ) {
    this.closed = this.closed_handle.promise;
    this.gone = new Promise<void>((resolve) => socket.once("close", () => resolve())).then(() => this.hang_up());
    socket.on("error", () => socket.destroy());
    const lines = createInterface({ input: socket });
    lines.on("error", () => lines.close());
    lines.on("line", (line) => this.take(line));
  }

  /** Connects. Rejects with the system's error when nobody accepts. */
  static async connect(agent_id: string, path: string, on_event: (event: HostEvent) => void): Promise<HostLink> {
    const socket = createConnection(path);
    await once(socket, "connect");
    return new HostLink(agent_id, socket, on_event);
  }

  /** The host's facts. Every version of the protocol answers this. */
  async hello(): Promise<HostFacts> {
    const facts = host_facts.parse(await this.request({ type: "hello", protocol: HOST_PROTOCOL }));
    if (facts.protocol > HOST_PROTOCOL) {
      throw new SupervisorError(
        "protocol_mismatch",
        `the host of ${facts.agent_id} speaks protocol ${facts.protocol}, this supervisor ${HOST_PROTOCOL}; start a newer supervisor`,
      );
    }
    this.stalled = facts.stalled;
    this.take_view(facts);
    if (facts.closed) this.closed_handle.resolve(facts.closed);
    return facts;
  }

  /** The view, from facts. `launch` answers with facts too: the host opens its pane only then, and may find its tmux server gone. */
  take_view({ pane, tmux_server }: Pick<HostFacts, "pane" | "tmux_server">): void {
    this.pane = pane ?? null;
    this.tmux_server = tmux_server ?? null;
  }

  request(request: Request): Promise<unknown> {
    const id = ++this.last_id;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(
          new SupervisorError(
            "host_failed",
            `the host of ${this.agent_id} did not answer '${request.type}' in ${REQUEST_DEADLINE_MS} ms`,
          ),
        );
      }, REQUEST_DEADLINE_MS);
      const settle = () => clearTimeout(timer);
      this.waiting.set(id, {
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      if (this.socket.destroyed) this.hang_up();
      else this.socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(line: string): void {
    let message: ReturnType<typeof host_message.parse>;
    try {
      message = host_message.parse(JSON.parse(line));
    } catch {
      // A host that says what no version says cannot be trusted with the rest either.
      this.socket.destroy(new Error(`the host of ${this.agent_id} does not speak the protocol`));
      return;
    }
    if ("event" in message) {
      if (message.event === "closed") this.closed_handle.resolve(message.report);
      if (message.event === "stalled") this.stalled = message.reason;
      if (message.event === "pane") {
        this.pane = message.state;
        this.on_pane(message.state);
      }
      this.on_event(message);
      return;
    }
    const open = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.ok) open?.resolve(message.result);
    else
      open?.reject(
        new SupervisorError(
          message.code in ERRORS ? (message.code as ErrorCode) : "host_failed",
          message_of(message.message),
        ),
      );
  }

  private hang_up(): void {
    for (const { reject } of this.waiting.values())
      reject(new SupervisorError("host_failed", `the host of ${this.agent_id} went away`));
    this.waiting.clear();
  }
}
