/**
 * The queue: agents for which there is no room wait here, the highest priority first, equals in their order, and are started the moment
 * there is room. What waits is in the registry (status `queued`), its environment in the memory of the tmux server (`held`), so that it survives the
 * death of the daemon. Where tmux or a floor (free disk, memory) stands in the way nobody tells when it is over: it is looked again every few seconds.
 */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { errno_of, message_of, SupervisorError } from "../../contract/errors.ts";
import { session_name } from "../../contract/ids.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { end_agent } from "../ending/end.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";
import { end_start } from "./end-start.ts";
import { shortage } from "./floors.ts";
import { Holdings } from "./holdings.ts";
import { may_start, scopes_for } from "./judge.ts";
import { crowd_text, crowded } from "./limits.ts";
import { Line, type Ticket, type Waiting } from "./line.ts";
import type { WaitingRoom } from "./waiting-room.ts";

/** How soon is looked again whether a floor or tmux still stands in the way, in ms. */
const AGAIN_MS = 3_000;

export class Queue implements WaitingRoom {
  private readonly line = new Line();
  private readonly holdings = new Holdings(() => this.surroundings(), this.line);
  private next_seq = 1;
  private pumping = false;
  private again = false;
  private restoring: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;
  private closed = false;
  private stop_listening = () => {};

  constructor(
    private readonly surroundings: () => Services,
    private readonly start: (services: Services, agent: AgentRecord, plan: DeployPlan) => Promise<void>,
  ) {}

  open(): void {
    const { registry, events } = this.surroundings();
    for (const agent of registry.agents()) {
      this.next_seq = Math.max(this.next_seq, (agent.queue?.seq ?? 0) + 1);
      if (agent.status === "queued" && !is_foreign(agent)) this.put(agent, null, "the supervisor was restarted");
    }
    this.stop_listening = events.listen(({ type }) => {
      if (type === "agent_ended") this.pump();
      // The server that held the environments is dead; the next one gets them.
      if (type === "pane_lost") void this.holdings.hold_again();
    });
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

  close(): void {
    this.closed = true;
    this.stop_listening();
    if (this.timer) clearTimeout(this.timer);
  }

  async require_floors(): Promise<void> {
    const { workspace, config } = this.surroundings();
    const short = await shortage(workspace, config.limits);
    if (short)
      throw new SupervisorError("too_little_free", `no agent is begun: ${short}, or lower the floor and start again`);
  }

  judge(task: Task, parent: AgentRecord | null, request: DeployPlan): Ticket | null {
    if (may_start(this.surroundings(), this.line, task, parent, request)) return null;
    return {
      priority: request.priority,
      seq: this.next_seq++,
      queued_at: new Date().toISOString(),
      admitted_at: null,
    };
  }

  async take(agent: AgentRecord, plan: DeployPlan): Promise<void> {
    const { events } = this.surroundings();
    await this.holdings.hold(agent, plan);
    crash_point("queue.held");
    const full = crowded(scopes_for(this.surroundings(), agent));
    this.put(agent, plan, full ? crowd_text(full) : "others are before it");
    const message = `place ${this.position(agent)}: ${this.reason(agent)}`;
    events.emit({ type: "agent_queued", agent_id: agent.id, message });
  }

  async let_go(agent: AgentRecord): Promise<void> {
    this.drop(agent);
    if (agent.queue === null) return;
    await this.holdings.let_go(agent);
    crash_point("queue.let_go");
  }

  drop(agent: AgentRecord): void {
    this.line.drop(agent.id);
  }

  async put_back(agent: AgentRecord): Promise<void> {
    const queue = agent.queue && { ...agent.queue, admitted_at: null };
    this.surroundings().host_states.delete(agent.id);
    await this.surroundings().registry.advance(
      agent,
      { type: "requeued" },
      { host: null, tmux_session: session_name(agent.id), queue },
    );
    crash_point("queue.requeued");
    this.put(agent, null, "its start was undone");
    // Whoever began it may have been told long ago.
    this.look_again();
  }

  async take_back(agent: AgentRecord, host: ProcessRef | null): Promise<boolean> {
    if (!agent.queue || this.closed) return false;
    if (!(await end_start(this.surroundings().tmux, agent, host))) return false;
    crash_point("queue.host_ended");
    await this.put_back(agent);
    void this.restore().then(() => this.pump());
    return true;
  }

  position(agent: AgentRecord): number | null {
    return this.line.place(agent.id);
  }

  reason(agent: AgentRecord): string {
    return this.line.get(agent.id)?.why ?? "";
  }

  counts(): { queued: number; by_task: Record<string, number> } {
    const by_task: Record<string, number> = {};
    for (const { agent } of this.line.turns()) {
      const { task_id } = this.surroundings().registry.task_of(agent);
      by_task[task_id] = (by_task[task_id] ?? 0) + 1;
    }
    return { queued: this.line.length, by_task };
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
    this.drop(agent);
    void this.begin(agent, plan);
  }

  private async begin(agent: AgentRecord, plan: DeployPlan): Promise<void> {
    const services = this.surroundings();
    try {
      await this.start(services, agent, plan);
      await this.let_go(agent);
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

  private look_again(): void {
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

  private put(agent: AgentRecord, plan: DeployPlan | null, why: string): void {
    this.line.put({ agent, plan, why });
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
