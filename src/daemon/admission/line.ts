/** Who waits, in the order of their turns: the highest priority first, equals as they came. In memory alone; the registry has the tickets. */
import type { AgentRecord, queue_ticket } from "../../contract/agent.ts";
import type { DeployPlan } from "../profiles/plan.ts";

export type Ticket = NonNullable<(typeof queue_ticket)["_output"]>;

export interface Waiting {
  agent: AgentRecord;
  /** Null until it is known what the tmux server holds. */
  plan: DeployPlan | null;
  /** Why it waits. */
  why: string;
}

/** The ticket of one that waits. */
export const ticket_of = ({ agent }: Waiting) => agent.queue as Ticket;

export class Line {
  private readonly waiting = new Map<string, Waiting>();
  /** Made when it is asked for: a list of agents asks for each place. */
  private order: { turns: readonly Waiting[]; places: Map<string, number> } | null = null;

  put(one: Waiting): void {
    this.waiting.set(one.agent.id, one);
    this.order = null;
  }

  drop(agent_id: string): void {
    if (this.waiting.delete(agent_id)) this.order = null;
  }

  get(agent_id: string): Waiting | undefined {
    return this.waiting.get(agent_id);
  }

  get length(): number {
    return this.waiting.size;
  }

  /** Everybody, whose turn is next first. */
  turns(): readonly Waiting[] {
    return this.sorted().turns;
  }

  /** From 1; null for one that does not wait. */
  place(agent_id: string): number | null {
    return this.sorted().places.get(agent_id) ?? null;
  }

  private sorted() {
    if (this.order) return this.order;
    const turns = [...this.waiting.values()].sort(
      (a, b) => ticket_of(b).priority - ticket_of(a).priority || ticket_of(a).seq - ticket_of(b).seq,
    );
    this.order = { turns, places: new Map(turns.map(({ agent }, index) => [agent.id, index + 1])) };
    return this.order;
  }
}
