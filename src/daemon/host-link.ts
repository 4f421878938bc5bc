/**
 * The daemon's end of a host's control socket. The host is a process of its own that outlives the daemon: when it is slow, a
 * request ends at its deadline; when it is gone, every open request is rejected and `gone` resolves. A host that does not keep to
 * the protocol is hung up on, and `fault` says why; it costs no more memory than one line may have.
 */
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { z } from "zod";
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
import { line_reader } from "../contract/json-lines.ts";
import type { Kept } from "../contract/kept.ts";
import { HOST_PROTOCOL, OLDEST_HOST_PROTOCOL } from "../contract/protocol-version.ts";
import type { ClosedReport, ProcessRef } from "../contract/receipt.ts";
import { OpenRequests } from "./open-requests.ts";

/** A host answers within a millisecond or two; one that takes this long is stopped or wedged. In ms. */
const REQUEST_DEADLINE_MS = 10_000;
/** A spare that does not answer by then is given up: a host can be booted meanwhile. In ms. */
const BECOME_DEADLINE_MS = 1_000;
/** The longest line holds the facts, with a command line that the kernel limits to some megabytes (execve(2)); JSON may escape it. */
const LINE_LIMIT = 16 * 1024 * 1024;

/** A request to a host, without the id that the link gives it. */
export type Request = Kept<HostRequest> extends infer R ? (R extends unknown ? Omit<R, "id"> : never) : never;
/** What became of a launch that was under way. */
type LaunchOutcome = { process: ProcessRef } | { failed: string };

export class HostLink {
  readonly gone: Promise<void>;
  /** Resolves with the host's report when it has closed everything. */
  readonly closed: Promise<ClosedReport>;
  /** Resolves when the host says how a launch went. A host that was launched before the link was made says nothing. */
  readonly launch: Promise<LaunchOutcome>;
  stalled: string | null = null;
  /** Why the host was hung up on, or null. */
  fault: string | null = null;
  private readonly closed_handle = deferred<ClosedReport>();
  private readonly launch_handle = deferred<LaunchOutcome>();
  private readonly open = new OpenRequests();
  /** The host's view, as it last said; null before it said anything, and with a host that never does (protocol 1). */
  pane: PaneState | null = null;
  /** The tmux server that has the host's pane, as far as the host said. */
  tmux_server: ProcessRef | null = null;
  /** Called when the view changes. */
  on_pane: (state: PaneState) => void = () => {};

  private constructor(
    private agent_id: string,
    private readonly socket: Socket,
    private on_event: (event: HostEvent) => void,
  ) {
    this.closed = this.closed_handle.promise;
    this.launch = this.launch_handle.promise;
    this.gone = new Promise<void>((resolve) => socket.once("close", () => resolve())).then(() => this.hang_up());
    socket.on("error", () => socket.destroy());
    const lines = line_reader(
      LINE_LIMIT,
      (line) => this.take(line),
      () => this.refuse(`sent a line of more than ${LINE_LIMIT} characters`),
    );
    socket.on("data", (chunk) => lines.push(chunk));
  }

  /** Connects. Rejects with the system's error when nobody accepts. */
  static async connect(agent_id: string, path: string, on_event: (event: HostEvent) => void): Promise<HostLink> {
    const socket = createConnection(path);
    await once(socket, "connect");
    return new HostLink(agent_id, socket, on_event);
  }

  /** The host's facts; the deadline is as for `request`. Every version of the protocol answers this. Rejects with `protocol_mismatch` when it is not one of ours. */
  async hello(deadline_ms: number | null = REQUEST_DEADLINE_MS): Promise<HostFacts> {
    const answer = await this.request({ type: "hello", protocol: HOST_PROTOCOL }, deadline_ms);
    // The version first: of another version the rest need not look as we know it.
    const { protocol } = parse_answer(this.agent_id, z.looseObject({ protocol: z.int() }), answer);
    if (protocol > HOST_PROTOCOL || protocol < OLDEST_HOST_PROTOCOL) {
      throw new SupervisorError(
        "protocol_mismatch",
        `the host of ${this.agent_id} speaks protocol ${protocol}, this supervisor ${OLDEST_HOST_PROTOCOL} to ${HOST_PROTOCOL}; the agent runs on; start ${protocol > HOST_PROTOCOL ? "a newer" : "an older"} supervisor to take it up`,
      );
    }
    const facts = parse_answer(this.agent_id, host_facts, answer);
    this.stalled = facts.stalled;
    this.take_view(facts);
    if (facts.closed) this.closed_handle.resolve(facts.closed);
    return facts;
  }

  /** Tells a spare host whose it is from now on, and under which name its socket is found. */
  async become(
    agent_id: string,
    socket: string,
    groups: boolean,
    on_event: (event: HostEvent) => void,
  ): Promise<HostFacts> {
    const answer = await this.request({ type: "become", agent_id, socket, groups }, BECOME_DEADLINE_MS);
    this.agent_id = agent_id;
    this.on_event = on_event;
    return parse_answer(agent_id, host_facts, answer);
  }

  /** Tells a spare host that an agent is coming, which will join control groups. Nobody waits for it: without, the launch takes longer. */
  prepare(): void {
    this.request({ type: "prepare" }, BECOME_DEADLINE_MS).catch(
      () => undefined /* one that does not answer is given up when it is taken */,
    );
  }

  /** The view, from facts. `launch` answers with facts too: the host opens its pane only then, and may find its tmux server gone. */
  take_view({ pane, tmux_server }: Pick<HostFacts, "pane" | "tmux_server">): void {
    this.pane = pane ?? null;
    this.tmux_server = tmux_server ?? null;
  }

  /** The host's answer. Without a deadline (null) it is waited for until the connection ends. */
  request(request: Request, deadline_ms: number | null = REQUEST_DEADLINE_MS): Promise<unknown> {
    const late = () =>
      host_failed(`the host of ${this.agent_id} did not answer '${request.type}' in ${deadline_ms} ms`);
    const { id, answer } = this.open.make(deadline_ms, late);
    if (this.socket.destroyed) this.hang_up();
    else this.socket.write(`${JSON.stringify({ ...request, id })}\n`);
    return answer;
  }

  close(): void {
    this.socket.destroy();
  }

  private take(line: string): void {
    if (this.socket.destroyed) return;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.refuse("sent something that is not JSON");
      return;
    }
    const parsed = host_message.safeParse(value);
    if (parsed.success) this.hear(parsed.data);
    else if (!is_unknown_event(value)) this.refuse("sent something that no version of the protocol has");
  }

  private hear(message: z.infer<typeof host_message>): void {
    if ("event" in message) {
      if (message.event === "closed") {
        if (message.report.agent_id === this.agent_id) this.closed_handle.resolve(message.report);
        else this.refuse("reported the end of another agent");
      }
      if (message.event === "stalled") this.stalled = message.reason;
      if (message.event === "pane") {
        this.pane = message.state;
        this.on_pane(message.state);
      }
      if (message.event === "launched") this.launch_handle.resolve({ process: message.process });
      if (message.event === "launch_failed") this.launch_handle.resolve({ failed: message.reason });
      this.on_event(message);
      return;
    }
    if (message.ok) this.open.answer(message.id, message.result);
    else {
      const code = message.code in ERRORS ? (message.code as ErrorCode) : "host_failed";
      this.open.fail(message.id, new SupervisorError(code, message_of(message.message)));
    }
  }

  /** A host that says what no version says cannot be trusted with the rest either. */
  private refuse(what: string): void {
    this.fault ??= `the host of ${this.agent_id} ${what}`;
    this.socket.destroy();
  }

  private hang_up(): void {
    this.open.fail_all(host_failed(this.fault ?? `the host of ${this.agent_id} went away`));
  }
}

const host_failed = (what: string) => new SupervisorError("host_failed", what);

const EVENTS: ReadonlySet<string> = new Set(
  host_message.options.flatMap((option) => ("event" in option.shape ? [option.shape.event.value] : [])),
);

/** An event by a name that we do not know: a newer host's, which we may not need. One that we know, but not so, is a fault. */
function is_unknown_event(value: unknown): boolean {
  const name = (value as { event?: unknown } | null)?.event;
  return typeof name === "string" && !EVENTS.has(name);
}

function parse_answer<T extends z.ZodType>(agent_id: string, schema: T, answer: unknown): z.output<T> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SupervisorError(
    "host_failed",
    `the host of ${agent_id} does not answer 'hello' with facts (${issue?.path.join(".") || "the whole"}: ${issue?.message})`,
  );
}
