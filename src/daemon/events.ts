/** What happened, as it happens: kept for a while for those who come late, and handed to everybody who listens. */
import { EventEmitter } from "node:events";
import type { SupervisorEvent } from "../contract/operations/supervisor.ts";

/** How many past events are kept for `events` without -f. */
const KEPT = 500;

/** A finding may have a megabyte; an event tells of it, the findings file holds it. In characters. */
const MESSAGE_LIMIT = 2000;

/** An agent may send thousands of these a second; the rest of what happens to it is little. */
const REPORTS: ReadonlySet<SupervisorEvent["type"]> = new Set(["progress", "finding"]);

type News = Omit<SupervisorEvent, "at">;

export class EventLog {
  private readonly emitter = new EventEmitter().setMaxListeners(0);
  private readonly past: SupervisorEvent[] = [];
  /** What is not told yet, by agent. */
  private readonly held = new Map<string, News[]>();

  emit(event: News): void {
    const held = event.agent_id === null ? undefined : this.held.get(event.agent_id);
    // A registry that hangs must not fill the memory: beyond so many, reports go past what is held.
    if (held && (held.length < KEPT || !REPORTS.has(event.type))) held.push(event);
    else this.tell(event);
  }

  /** Keeps what happens to an agent to itself until `let_go`, which tells it in the order in which it happened. */
  hold(agent_id: string): void {
    if (!this.held.has(agent_id)) this.held.set(agent_id, []);
  }

  /** Tells what was held of an agent. When nothing is held there is nothing to do. */
  let_go(agent_id: string): void {
    const held = this.held.get(agent_id) ?? [];
    this.held.delete(agent_id);
    for (const event of held) this.tell(event);
  }

  /** Of all agents: nothing may be held when nobody can be told any more. */
  let_all_go(): void {
    for (const agent_id of [...this.held.keys()]) this.let_go(agent_id);
  }

  private tell(event: News): void {
    const whole = { at: new Date().toISOString(), ...event, message: event.message.slice(0, MESSAGE_LIMIT) };
    this.past.push(whole);
    if (this.past.length > KEPT) this.past.shift();
    this.emitter.emit("event", whole);
  }

  recent(): readonly SupervisorEvent[] {
    return this.past;
  }

  /** Calls back for each new event until the returned function is called. */
  listen(handler: (event: SupervisorEvent) => void): () => void {
    this.emitter.on("event", handler);
    return () => this.emitter.off("event", handler);
  }
}
