/**
 * The queue: agents for which there is no room wait here, the highest priority first, equals in their order, and are started the moment
 * there is room (`pump`). What waits is in the registry (status `queued`), its environment in the memory of the tmux server (`held`), so that it survives the
 * death of the daemon.
 */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { session_name } from "../../contract/ids.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { crash_point } from "../../faults/crash-point.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";
import { end_start } from "./end-start.ts";
import { shortage } from "./floors.ts";
import { Holdings } from "./holdings.ts";
import { may_start, scopes_for } from "./judge.ts";
import { crowd_text, crowded } from "./limits.ts";
import { Line, type Ticket } from "./line.ts";
import { Pump } from "./pump.ts";
import type { WaitingRoom } from "./waiting-room.ts";

export class Queue implements WaitingRoom {
  private readonly line = new Line();
  private readonly holdings = new Holdings(() => this.surroundings(), this.line);
  private next_seq = 1;
  private readonly starter: Pump;
  private stop_listening = () => {};

  constructor(
    private readonly surroundings: () => Services,
    start: (services: Services, agent: AgentRecord, plan: DeployPlan) => Promise<void>,
  ) {
    this.starter = new Pump(surroundings, this.line, this.holdings, async (agent, plan) => {
      await start(surroundings(), agent, plan);
      await this.let_go(agent);
    });
  }

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

  close(): void {
    this.starter.close();
    this.stop_listening();
  }

  restore(): Promise<void> {
    return this.starter.restore();
  }

  pump(): void {
    this.starter.pump();
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
    this.starter.look_again();
  }

  async take_back(agent: AgentRecord, host: ProcessRef | null): Promise<boolean> {
    if (!agent.queue || this.starter.closed) return false;
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

  private put(agent: AgentRecord, plan: DeployPlan | null, why: string): void {
    this.line.put({ agent, plan, why });
  }
}
