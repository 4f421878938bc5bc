/** What happened, as it happens: kept for a while for those who come late, and handed to everybody who listens. */
import { EventEmitter } from "node:events";
import type { SupervisorEvent } from "../contract/operations/supervisor.ts";

/** How many past events are kept for `events` without -f. */
const KEPT = 500;

/** A finding may have a megabyte; an event tells of it, the findings file holds it. In characters. */
const MESSAGE_LIMIT = 2000;

export class EventLog {
  private readonly emitter = new EventEmitter().setMaxListeners(0);
  private readonly past: SupervisorEvent[] = [];

  emit(event: Omit<SupervisorEvent, "at">): void {
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
