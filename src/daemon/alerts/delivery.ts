/**
 * One way to tell the user, a program or a URL: alerts go there one after the other, in their order, each tried a few times. What waits is bounded; the oldest
 * goes first when there is too much. Nobody ever waits for it.
 */
import pRetry from "p-retry";
import type { Logger } from "pino";
import type { Alert } from "../../contract/alert.ts";
import { message_of } from "../../contract/errors.ts";

/** More are not worth telling one by one; each is still an event and a log line. */
const WAITING_LIMIT = 100;
/**
 * Five attempts. With the default pause (`alerts.retry_seconds`) that is about 20 s, besides what the attempts take: a restart of the other
 * side is survived, and alerts that wait behind are not old.
 */
const RETRIES = { retries: 4, factor: 3 };

export type Sender = (alert: Alert, signal: AbortSignal) => Promise<void>;
export type DeliveryResult = "delivered" | "failed" | "dropped";

export class Delivery {
  private readonly waiting: Alert[] = [];
  private running: Promise<void> = Promise.resolve();
  private busy = false;
  private readonly halted = new AbortController();

  constructor(
    private readonly channel: "command" | "webhook",
    private readonly send: Sender,
    /** The first pause between attempts, in ms. */
    private readonly pause_ms: number,
    private readonly log: Logger,
    private readonly on_result: (channel: string, result: DeliveryResult) => void,
  ) {}

  push(alert: Alert): void {
    if (this.halted.signal.aborted) return;
    this.waiting.push(alert);
    if (this.waiting.length > WAITING_LIMIT) this.drop(this.waiting.shift() as Alert);
    if (this.busy) return;
    this.busy = true;
    this.running = this.run();
  }

  /** Ends the attempt under way. Resolves with how many were not delivered. */
  async stop(): Promise<number> {
    const left = this.waiting.length + (this.busy ? 1 : 0);
    this.halted.abort();
    await this.running;
    return left;
  }

  private drop(alert: Alert): void {
    this.on_result(this.channel, "dropped");
    this.log.error(
      { cause: alert.cause, agent_id: alert.agent_id },
      `too many alerts wait for the ${this.channel}; one was dropped`,
    );
  }

  private async run(): Promise<void> {
    const { signal } = this.halted;
    for (let alert = this.waiting.shift(); alert && !signal.aborted; alert = this.waiting.shift())
      await this.deliver(alert);
    // In the same turn as the last look at what waits: nobody can come between and be overlooked.
    this.busy = false;
  }

  private async deliver(alert: Alert): Promise<void> {
    const { signal } = this.halted;
    const { cause, agent_id, state } = alert;
    try {
      await pRetry(() => this.send(alert, signal), { ...RETRIES, minTimeout: this.pause_ms, signal, unref: true });
      this.on_result(this.channel, "delivered");
    } catch (error) {
      if (signal.aborted) return;
      this.on_result(this.channel, "failed");
      this.log.error(
        { cause, agent_id, state, error: message_of(error) },
        `an alert could not be delivered by the ${this.channel}`,
      );
    }
  }
}
