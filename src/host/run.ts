/**
 * The agent host. Run by tmux in the agent's pane, one per agent, and as long-lived as the agent. Owns the pty, is the only
 * writer of the logs, and obeys whichever daemon connects. A daemon that is slow or gone changes nothing for the agent; when
 * the agent ends without one, the exit record on disk tells the next daemon.
 *
 * A host that nobody gives an agent within a deadline leaves. A tmux server that dies takes only the view away.
 *
 * A spare host is started before its agent is known, and told later whose it is (`become`). It waits for as long as the daemon that started it is
 * connected, and leaves with it: a spare is of no use to another daemon. Once it has an agent it waits for the launch like any other.
 */
import { renameSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { prepare_join } from "../containment/ahead.ts";
import { deferred } from "../contract/deferred.ts";
import { is_errno, why_not_started } from "../contract/errors.ts";
import type { HostFacts, HostPhase, HostRequest, LaunchSpec, PaneRequest } from "../contract/host-protocol.ts";
import { host_stderr } from "../contract/paths.ts";
import { HOST_PROTOCOL } from "../contract/protocol-version.ts";
import type { ClosedReport, ProcessRef } from "../contract/receipt.ts";
import type { EndCause } from "../contract/status.ts";
import { is_alive, process_ref_of } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import { type Agent, start_agent } from "./agent.ts";
import { Control } from "./control.ts";
import { require_descriptors } from "./descriptors.ts";
import { end_agent } from "./end.ts";
import { TerminalAhead } from "./terminal-ahead.ts";
import { type PaneMark, what_became_of } from "./tmux-server.ts";

/** A daemon connects and launches within milliseconds; one that died in between never will. In ms. */
const LAUNCH_DEADLINE_MS = 30_000;
/** How long a connected daemon may take to accept the report before the host leaves anyway: the exit record says the same. In ms. */
const RELEASE_DEADLINE_MS = 30_000;

/** How often a spare that waits for its daemon's connection looks whether that lives: it is not told of the death of a process that is no child of its own. In ms. */
const DAEMON_LOOK_MS = 250;

export interface HostOptions {
  /** Of a spare: a name of its own, until it is told another. */
  agent_id: string;
  socket: string;
  /** Of a spare: the daemon it is for. Null once it has an agent, and for any other host. */
  spare_for: ProcessRef | null;
  /** The tmux server's socket, by which a killed session is told from a dead server. */
  tmux_socket: string;
}

/** Runs one host from its socket's first moment to its last. Resolves when the process may exit. */
export async function run_host(given: HostOptions): Promise<void> {
  require_descriptors();
  const options = { ...given };
  const host = process_ref_of(process.pid) as ProcessRef;
  let phase: HostPhase = "waiting";
  let agent: Agent | null = null;
  /** Set when it was told to end before it was given an agent: it takes none any more. */
  let takes_none = false;
  /** Resolves when the start of the agent worked or failed. */
  let starting: Promise<void> = Promise.resolve();
  let closed: ClosedReport | null = null;
  let ended: Promise<void> | null = null;
  /** Why the end does not go on, or null. */
  let end_waits_for: string | null = null;
  const on_wait = (reason: string | null) => {
    end_waits_for = reason && `its end waits: ${reason}`;
    control.send({ event: "stalled", reason: end_waits_for });
  };
  const hurry = new AbortController();
  /** The tmux server that has our pane: at first the one that started us. */
  let tmux_server = process_ref_of(process.ppid);
  let pane: PaneMark = { pid: process.pid };
  let hang_ups = 0;
  let judging = false;
  const leaving = new AbortController();
  /** Ends the wait for a launch, with its timer: a host that has its agent wakes up for nothing. */
  const waited = new AbortController();
  let grace_ends = Number.POSITIVE_INFINITY;
  const launched = deferred();
  const released = deferred();
  const became = deferred();
  const ahead = new TerminalAhead();

  const facts = (): HostFacts => ({
    protocol: HOST_PROTOCOL,
    agent_id: options.agent_id,
    phase,
    host,
    process: agent?.process ?? null,
    bytes_read: agent?.bytes_read() ?? 0,
    bytes_written: agent?.bytes_written() ?? 0,
    closed,
    stalled: agent?.stalled() ?? end_waits_for,
    pane: agent?.view.state ?? "open",
    tmux_server,
    cgroups: agent?.cgroups ?? [],
    record: agent?.spec.record ?? null,
    ...(agent && phase === "running" ? { log_max_bytes: agent.log_max() } : {}),
  });

  /** The socket keeps its listener and its connections under the new name. */
  function become({ agent_id, socket, groups }: Extract<HostRequest, { type: "become" }>): HostFacts {
    // One whose pane hung up may have lost it.
    if (!options.spare_for || phase !== "waiting" || takes_none || judging)
      throw Object.assign(new Error(`the host of ${options.agent_id} is no spare`), { code: "invalid_request" });
    renameSync(options.socket, socket);
    Object.assign(options, { agent_id, socket, spare_for: null });
    became.resolve();
    crash_point("host.became");
    if (groups) prepare();
    return facts();
  }

  /** Where it may not be done, the agent joins its groups later, and says what keeps it from that. */
  function prepare(): null {
    void prepare_join().catch(() => undefined);
    return null;
  }

  async function begin(spec: LaunchSpec): Promise<HostFacts> {
    if (phase !== "waiting" || takes_none) {
      const why = takes_none
        ? `the host of ${options.agent_id} was told to leave`
        : `the host already runs ${options.agent_id}`;
      throw Object.assign(new Error(why), { code: takes_none ? "launch_failed" : "invalid_request" });
    }
    phase = "launching";
    crash_point("host.launch_received");
    const started = deferred();
    starting = started.promise;
    try {
      agent = await start_agent(spec, {
        terminal: await ahead.take(spec.mode),
        fifo: `${options.socket}.out`,
        on_stall: (reason) => control.send({ event: "stalled", reason }),
        on_rotated: (role, number) => control.send({ event: "rotated", role, number }),
        on_hang_up: () => void judge_hang_up(),
      });
      phase = "running";
      control.send({ event: "launched", process: agent.process });
    } catch (error) {
      phase = "waiting";
      const reason = why_not_started(error) ?? (error as Error).message;
      control.send({ event: "launch_failed", reason });
      throw Object.assign(new Error(reason), { code: "launch_failed" });
    } finally {
      started.resolve();
    }
    launched.resolve();
    crash_point("host.running");
    void agent.exited.then((exit) => {
      control.send({ event: "exited", ...exit });
      end("exited", spec.grace_ms, "SIGTERM");
    });
    return facts();
  }

  /** Begins the end, once; a later, shorter grace cuts the first one short. */
  function end(cause: EndCause, grace_ms: number, signal: NodeJS.Signals): void {
    const deadline = performance.now() + grace_ms;
    if (!agent) {
      // An agent that is just being started is ended as soon as it is there.
      if (phase === "launching") void starting.then(() => end(cause, grace_ms, signal));
      else {
        // A launch that is still on its way, from a daemon that died meanwhile, must not be obeyed after this.
        takes_none = true;
        launched.resolve();
      }
      return;
    }
    if (deadline < grace_ends && ended !== null) setTimeout(() => hurry.abort(), grace_ms).unref();
    grace_ends = Math.min(grace_ends, deadline);
    if (ended !== null) return;
    phase = "ending";
    control.send({ event: "ending", cause });
    crash_point("host.ending");
    ended = end_agent(agent, { cause, grace_ms, signal, hurry: hurry.signal, exclude: [process.pid], on_wait }).then(
      async ({ report, recorded_later }) => {
        closed = report;
        phase = "closed";
        control.send({ event: "closed", report });
        // After what was said has been handed to the kernel.
        setImmediate(() => crash_point("host.reported"));
        // Until there is a record this host is all that knows how the agent ended; a daemon that comes meanwhile releases it.
        await recorded_later;
        if (!control.connected) released.resolve();
        void control.gone().then(() => released.resolve());
        setTimeout(() => released.resolve(), RELEASE_DEADLINE_MS).unref();
      },
    );
  }

  /**
   * The pane hung up, or somebody sent the signal by hand: tmux is asked. A pane that is still there: nothing has happened. One that
   * is closed on a server that lives: the session was killed on purpose, an orderly end. A server that has died, or is being ended by hand,
   * with everybody's sessions: the agent lives on, and the daemon is told, which gives it another pane.
   */
  async function judge_hang_up(): Promise<void> {
    hang_ups++;
    if (judging || phase === "closed") return;
    judging = true;
    let seen: number;
    let fate: Awaited<ReturnType<typeof what_became_of>>;
    try {
      do {
        // One that comes while tmux is asked may be the true one.
        seen = hang_ups;
        fate = await what_became_of(pane, options.tmux_socket, tmux_server, leaving.signal);
      } while (seen !== hang_ups);
    } catch (error) {
      if ((error as Error).name !== "AbortError") throw error;
      return;
    } finally {
      judging = false;
    }
    // A spare without a session is of no use to anybody.
    if (fate === "closed" || (fate === "server_died" && options.spare_for))
      end("session_killed", agent?.grace_ms ?? 0, "SIGTERM");
    if (fate !== "server_died" || !agent) return;
    agent.view.close();
    control.send({ event: "pane", state: "lost" });
  }

  async function move_view(request: PaneRequest): Promise<null> {
    if (!agent || phase === "closed")
      throw Object.assign(new Error("there is no agent to look at"), { code: "invalid_request" });
    await agent.move_view(request);
    pane = { tty: request.tty };
    tmux_server = request.server;
    return null;
  }

  async function handle(request: HostRequest): Promise<unknown> {
    switch (request.type) {
      case "hello":
        return facts();
      case "become":
        return become(request);
      case "prepare":
        return prepare();
      case "launch":
        return begin(request.spec);
      case "stop":
        return end(request.cause, request.grace_ms, request.signal as NodeJS.Signals);
      case "input":
        return { accepted: agent?.type(Buffer.from(request.data)) ?? false };
      case "log_limit":
        if (phase !== "running" || !agent)
          throw Object.assign(new Error(`${options.agent_id} is not running`), { code: "agent_not_running" });
        return agent.set_log_max(request.max_bytes);
      case "pane":
        return move_view(request);
      case "release":
        // After the answer is on its way.
        setImmediate(() => released.resolve());
        return null;
      default:
        throw Object.assign(new Error(`this host does not know '${(request as { type: string }).type}'`), {
          code: "invalid_request",
        });
    }
  }

  const control = new Control(handle);
  /** Resolves when no launch will come any more. A spare without an agent is deserted when the daemon that started it is gone, or never came. */
  async function deserted(): Promise<void> {
    const late = () => delay(LAUNCH_DEADLINE_MS, undefined, { ref: true, signal: waited.signal }).catch(ignore_abort);
    if (options.spare_for) {
      const too_late = late().then(() => true);
      const came = control.came.then(() => true);
      // One that died while this booted will never come.
      do if (!is_alive(options.spare_for)) return;
      while (!(await Promise.race([came, too_late, delay(DAEMON_LOOK_MS, false)])));
      await Promise.race([control.gone(), became.promise]);
    }
    if (!options.spare_for) await late();
  }
  // From a pane that is not our own terminal the kernel sends none: such a signal says nothing about the pane.
  process.on("SIGHUP", () => {
    if (!agent || agent.view.is_own_terminal) void judge_hang_up();
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => end("kill", agent?.grace_ms ?? 0, signal));

  await control.listen(options.socket);
  crash_point("host.listening");
  try {
    ahead.open();
    await Promise.race([launched.promise, deserted()]);
    waited.abort();
    takes_none = true;
    // A launch that was begun in time is seen through, however slow the disk is.
    await starting;
    if (agent) await released.promise;
    crash_point("host.released");
  } finally {
    leaving.abort();
    control.close();
    unlink_if_there(options.socket);
    // The daemon that started us removes it when it has connected; one that died before has not.
    unlink_if_there(host_stderr(dirname(given.socket), given.agent_id));
  }
}

/** Not `rmSync`, for which Node loads the removal of whole trees. */
function unlink_if_there(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!is_errno(error, "ENOENT")) throw error;
  }
}

function ignore_abort(error: unknown): void {
  if ((error as Error).name !== "AbortError") throw error;
}
