/** Changes of agents that are not on the disk yet: what is told to have failed must not be believed, and is taken back. */
import type { AgentRecord } from "../../contract/agent.ts";

interface Change {
  agent: AgentRecord;
  before: Record<string, unknown>;
  after: Record<string, unknown>;
}

export class Unwritten {
  /** In the order in which they were made. */
  private readonly changes = new Set<Change>();

  make(agent: AgentRecord, after: Partial<AgentRecord>): Change {
    const before = Object.fromEntries(Object.keys(after).map((key) => [key, agent[key]]));
    const change = { agent, before, after };
    this.changes.add(change);
    Object.assign(agent, after);
    return change;
  }

  is_written(change: Change): void {
    this.changes.delete(change);
  }

  /** What another change has set meanwhile stays; should that fail as well, it goes back to what was before both. */
  take_back(change: Change): void {
    const { agent, before, after } = change;
    const in_order = [...this.changes].filter((one) => one.agent === agent);
    const later = in_order.slice(in_order.indexOf(change) + 1);
    for (const [key, value] of Object.entries(before)) {
      const next = later.find((one) => key in one.after);
      if (!next && agent[key] === after[key]) agent[key] = value;
      if (next && next.before[key] === after[key]) next.before[key] = value;
    }
    this.changes.delete(change);
  }
}
