/** The life of a host's one agent: launched once, ended once. Daemons that are connected are told of each step, and none is waited for. */
import { deferred } from "../contract/deferred.ts";
import { why_not_started } from "../contract/errors.ts";
import type { HostFacts, HostPhase, LaunchSpec } from "../contract/host-protocol.ts";
import type { Kept } from "../contract/kept.ts";
import { monotonic_ms } from "../contract/monotonic.ts";
import type { ClosedReport } from "../contract/receipt.ts";
import type { EndCause } from "../contract/status.ts";
import { crash_point } from "../faults/crash-point.ts";
import { type Agent, start_agent } from "./agent.ts";
import type { Control } from "./control.ts";
import { end_agent } from "./end.ts";
import type { TerminalAhead } from "./terminal-ahead.ts";
import type { HostOptions } from "./waiting.ts";

/** How long a connected daemon may take to accept the report before the host leaves anyway: the exit record says the same. In ms. */
const RELEASE_DEADLINE_MS = 30_000;

export interface LifeOptions {
  /** The host's own, as they are by now: a spare's change. */
  host: Readonly<HostOptions>;
  control: Control;
  ahead: TerminalAhead;
  /** The pane's terminal hung up. */
  on_hang_up(): void;
}

export class Life {
  phase: HostPhase = "waiting";
  agent: Agent | null = null;
  /** Set when it was told to end before it was given an agent, or nobody gave it one: it takes none any more. */
  takes_none = false;
  /** The report of its end. */
  closed: ClosedReport | null = null;
  /** Resolves when the agent runs, or none is taken any more. */
  readonly launched = deferred();
  /** Resolves when the report was accepted, or nobody is there to accept it. */
  readonly released = deferred();
  /** Resolves when the start of the agent worked or failed. */
  private starting: Promise<void> = Promise.resolve();
  private ended: Promise<void> | null = null;
  /** Why the end does not go on, or null. */
  private end_waits_for: string | null = null;
  private readonly hurry = new AbortController();
  private grace_ends = Number.POSITIVE_INFINITY;

  constructor(private readonly options: LifeOptions) {}

  /** What holds the agent's output or its end up, or null. */
  stalled(): string | null {
    return this.agent?.logs.stalled() ?? this.end_waits_for;
  }

  /**
   * Starts the agent. Resolves with the facts of that moment: soon after it may have exited. Rejects with the reason when it cannot be started; then another
   * launch may come.
   */
  async begin(spec: LaunchSpec, facts: () => Kept<HostFacts>): Promise<Kept<HostFacts>> {
    const { host, control, ahead, on_hang_up } = this.options;
    if (this.phase !== "waiting" || this.takes_none) {
      const why = this.takes_none
        ? `the host of ${host.agent_id} was told to leave`
        : `the host already runs ${host.agent_id}`;
      throw Object.assign(new Error(why), { code: this.takes_none ? "launch_failed" : "invalid_request" });
    }
    this.phase = "launching";
    crash_point("host.launch_received");
    const started = deferred();
    this.starting = started.promise;
    let agent: Agent;
    try {
      agent = await start_agent(spec, {
        terminal: await ahead.take(spec.mode),
        fifo: `${host.socket}.out`,
        on_stall: (reason) => control.send({ event: "stalled", reason }),
        on_rotated: (role, number) => control.send({ event: "rotated", role, number }),
        on_hang_up,
      });
      this.agent = agent;
      this.phase = "running";
      control.send({ event: "launched", process: agent.process });
    } catch (error) {
      this.phase = "waiting";
      const reason = why_not_started(error) ?? (error as Error).message;
      control.send({ event: "launch_failed", reason });
      throw Object.assign(new Error(reason), { code: "launch_failed" });
    } finally {
      started.resolve();
    }
    this.launched.resolve();
    crash_point("host.running");
    void agent.exited.then((exit) => {
      control.send({ event: "exited", ...exit });
      this.end("exited", spec.grace_ms, "SIGTERM");
    });
    return facts();
  }

  /** Takes no launch any more. One that was begun in time is seen through, however slow the disk is. */
  take_none(): Promise<void> {
    this.takes_none = true;
    return this.starting;
  }

  /** Begins the end, once; a later, shorter grace cuts the first one short. */
  end(cause: EndCause, grace_ms: number, signal: NodeJS.Signals): void {
    const { agent } = this;
    const deadline = monotonic_ms() + grace_ms;
    if (!agent) {
      // An agent that is just being started is ended as soon as it is there.
      if (this.phase === "launching") void this.starting.then(() => this.end(cause, grace_ms, signal));
      else {
        // A launch that is still on its way, from a daemon that died meanwhile, must not be obeyed after this.
        this.takes_none = true;
        this.launched.resolve();
      }
      return;
    }
    if (deadline < this.grace_ends && this.ended !== null) setTimeout(() => this.hurry.abort(), grace_ms).unref();
    this.grace_ends = Math.min(this.grace_ends, deadline);
    if (this.ended !== null) return;
    this.phase = "ending";
    this.options.control.send({ event: "ending", cause });
    crash_point("host.ending");
    this.ended = this.see_out(agent, { cause, grace_ms, signal });
  }

  private async see_out(agent: Agent, how: { cause: EndCause; grace_ms: number; signal: NodeJS.Signals }) {
    const { control } = this.options;
    const on_wait = (reason: string | null) => {
      this.end_waits_for = reason && `its end waits: ${reason}`;
      control.send({ event: "stalled", reason: this.end_waits_for });
    };
    const options = { ...how, hurry: this.hurry.signal, exclude: [process.pid], on_wait };
    const { report, recorded_later } = await end_agent(agent, options);
    this.closed = report;
    this.phase = "closed";
    control.send({ event: "closed", report });
    // After what was said has been handed to the kernel.
    setImmediate(() => crash_point("host.reported"));
    // Until there is a record this host is all that knows how the agent ended; a daemon that comes meanwhile releases it.
    await recorded_later;
    if (!control.connected) this.released.resolve();
    void control.gone().then(() => this.released.resolve());
    setTimeout(() => this.released.resolve(), RELEASE_DEADLINE_MS).unref();
  }
}
