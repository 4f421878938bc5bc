/**
 * What starts those that wait in the queue, the moment there is room. Where tmux or a floor (free disk, memory) stands in the way nobody tells when that is
 * over: it is looked again every few seconds.
 */
import type { AgentRecord } from "../../contract/agent.ts";
import { errno_of, message_of, SupervisorError } from "../../contract/errors.ts";
import { end_agent } from "../ending/end.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Services } from "../services.ts";
import { shortage } from "./floors.ts";
import type { Holdings } from "./holdings.ts";
import { scopes_for } from "./judge.ts";
import { crowd_text, crowded } from "./limits.ts";
import type { Line, Waiting } from "./line.ts";

/** How soon is looked again whether a floor or tmux still stands in the way, in ms. */
const AGAIN_MS = 3_000;

export class Pump {
  closed = false;
  private pumping = false;
  private again = false;
  private restoring: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly surroundings: () => Services,
    private readonly line: Line,
    private readonly holdings: Holdings,
    /** Resolves when it runs and nothing of it is held any more. */
    private readonly start: (agent: AgentRecord, plan: DeployPlan) => Promise<void>,
  ) {}

  close(): void {
    this.closed = true;
    if (this.timer) clearTimeout(this.timer);
  }

  restore(): Promise<void> {
    this.restoring ??= this.ask_for_plans()
      .catch((error) => {
        this.surroundings().log.warn({ error: message_of(error) }, "what is queued waits for the tmux server");
        this.look_again();
      })
      .finally(() => {
        this.restoring = null;
      });
    return this.restoring;
  }

  pump(): void {
    this.again = true;
    if (this.pumping || this.closed) return;
    this.pumping = true;
    this.admit()
      .catch((error) => {
        this.surroundings().log.warn({ error: message_of(error) }, "nobody could be admitted; it is tried again");
        this.look_again();
      })
      .finally(() => {
        this.pumping = false;
        if (this.again && !this.timer) this.pump();
      });
  }

  private async admit(): Promise<void> {
    while (this.again) {
      this.again = false;
      const services = this.surroundings();
      if (this.line.length === 0) return;
      const short = await shortage(services.workspace, services.config.limits);
      if (short) {
        for (const one of this.line.turns()) one.why = short;
        return this.look_again();
      }
      const full = new Map<string, string>();
      for (const one of this.line.turns()) {
        if (this.closed || services.stopping) return;
        // What follows until it is admitted waits for nothing: two would find the same room.
        this.consider(one, full);
      }
    }
  }

  /** Starts one, if it has room; `full` has the scopes that were found without, by task, and why. */
  private consider(one: Waiting, full: Map<string, string>): void {
    const services = this.surroundings();
    const { agent, plan } = one;
    if (!plan || services.doomed.has(agent.id) || services.ends.has(agent.id)) return;
    // A frozen tmux server that goes on would end the new session in the place of the old one.
    if (services.panes.owes(agent.tmux_session as string)) {
      this.look_again();
      return;
    }
    const { task_id } = services.registry.task_of(agent);
    const key = `${task_id} ${agent.depth > 1}`;
    const known = full.get("") ?? full.get(key);
    const [whole, ...rest] = scopes_for(this.surroundings(), agent);
    const scope = known === undefined ? crowded([whole, ...rest]) : null;
    if (scope) full.set(scope === whole ? "" : key, crowd_text(scope));
    const why = known ?? (scope ? crowd_text(scope) : undefined);
    if (why !== undefined) {
      one.why = why;
      return;
    }
    this.line.drop(agent.id);
    void this.begin(agent, plan);
  }

  private async begin(agent: AgentRecord, plan: DeployPlan): Promise<void> {
    const services = this.surroundings();
    try {
      await this.start(agent, plan);
    } catch (error) {
      const waiting = this.line.get(agent.id);
      if (!waiting) return;
      waiting.plan = plan;
      services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a queued agent could not be started");
      if (passes(error)) {
        waiting.why = message_of(error);
        return this.look_again();
      }
      this.fail(agent, message_of(error));
    }
  }

  private fail(agent: AgentRecord, reason: string): void {
    const { cleanup, grace_ms } = agent;
    const { log } = this.surroundings();
    end_agent(this.surroundings(), agent, { cause: "deploy_failed", reason, cleanup, grace_ms }).catch((error) =>
      log.error({ agent_id: agent.id, error: message_of(error) }, "an end did not finish"),
    );
  }

  private async ask_for_plans(): Promise<void> {
    const held = await this.holdings.take_over();
    for (const one of this.line.turns()) {
      one.plan ??= held.get(one.agent.id) ?? null;
      if (one.plan === null) this.fail(one.agent, LOST);
    }
  }

  /** Looks again in a few seconds. */
  look_again(): void {
    if (this.timer || this.closed) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.learn_again().then(() => this.pump());
    }, AGAIN_MS);
    this.timer.unref();
  }

  /** What is not known of those that wait, and what a server that died meanwhile had of them. */
  private async learn_again(): Promise<void> {
    if (this.line.turns().some((one) => one.plan === null)) await this.restore();
    await this.holdings.hold_again_if_lost();
  }
}

const LOST =
  "the supervisor ended while it waited, and nobody has its environment any more, which is never on disk: the tmux server, which alone had it, ended too, or had not been given it yet; deploy it again";

/** True for trouble of tmux, the disk or the machine, which says nothing of the agent. */
function passes(error: unknown): boolean {
  if (!(error instanceof SupervisorError)) return errno_of(error) !== undefined;
  return ["tmux_failed", "out_of_resources", "timeout", "workspace_unusable", "registry_unwritable"].includes(
    error.code,
  );
}
