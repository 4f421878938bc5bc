/** What a host does when a daemon asks: one request, one answer. */
import { prepare_join } from "../containment/ahead.ts";
import { trouble } from "../contract/errors.ts";
import type { HostFacts, HostRequest } from "../contract/host-protocol.ts";
import type { Kept } from "../contract/kept.ts";
import { HOST_PROTOCOL } from "../contract/protocol-version.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import type { Life } from "./life.ts";
import type { Session } from "./session.ts";
import type { HostOptions, Waiting } from "./waiting.ts";

/** The parts of one host. */
export interface Host {
  itself: ProcessRef;
  options: Readonly<HostOptions>;
  waiting: Waiting;
  life: Life;
  session: Session;
}

/** Answers, or rejects with a `code` for the daemon. */
export async function answer(host: Host, request: HostRequest): Promise<unknown> {
  const { options, life, session } = host;
  const { agent, phase } = life;
  switch (request.type) {
    case "hello":
      return facts(host);
    case "become":
      return become(host, request);
    case "prepare":
      return prepare();
    case "launch":
      return life.begin(request.spec, () => facts(host));
    case "stop":
      return life.end(request.cause, request.grace_ms, request.signal as NodeJS.Signals);
    case "input":
      return type_into(host, request.data);
    case "log_limit":
      if (phase !== "running" || !agent)
        throw Object.assign(new Error(`${options.agent_id} is not running`), { code: "agent_not_running" });
      return agent.logs.set_log_max(request.max_bytes);
    case "pane":
      return session.move_view(request);
    case "release":
      // After the answer is on its way.
      setImmediate(() => life.released.resolve());
      return null;
    default:
      throw Object.assign(new Error(`this host does not know '${(request as { type: string }).type}'`), {
        code: "invalid_request",
      });
  }
}

function facts({ itself, options, life, session }: Host): Kept<HostFacts> {
  const { agent, phase } = life;
  return {
    protocol: HOST_PROTOCOL,
    agent_id: options.agent_id,
    phase,
    host: itself,
    process: agent?.process ?? null,
    bytes_read: agent?.bytes_read() ?? 0,
    bytes_written: agent?.bytes_written() ?? 0,
    closed: life.closed,
    stalled: life.stalled(),
    pane: agent?.view.state ?? "open",
    tmux_server: session.tmux_server,
    cgroups: agent?.cgroups ?? [],
    record: agent?.spec.record ?? null,
    ...(agent && phase === "running" ? { log_max_bytes: agent.logs.log_max() } : {}),
  };
}

function type_into({ options, life }: Host, text: string): { accepted: boolean } {
  const accepted = life.agent?.type(Buffer.from(text)) ?? false;
  if (accepted instanceof Error)
    throw Object.assign(
      new Error(
        `the terminal of ${options.agent_id} did not take what was typed, or not all of it: ${trouble(accepted)}`,
      ),
      { code: "host_failed" },
    );
  return { accepted };
}

function become(host: Host, request: Extract<HostRequest, { type: "become" }>): Kept<HostFacts> {
  const { options, waiting, life, session } = host;
  // One whose pane hung up may have lost it.
  if (!options.spare_for || life.phase !== "waiting" || life.takes_none || session.judging)
    throw Object.assign(new Error(`the host of ${options.agent_id} is no spare`), { code: "invalid_request" });
  waiting.become(request);
  if (request.groups) prepare();
  return facts(host);
}

/** Where it may not be done, the agent joins its groups later, and says what keeps it from that. */
function prepare(): null {
  void prepare_join().catch(() => undefined /* the join itself meets the same, and tells it */);
  return null;
}
