/**
 * An end that goes on until it is complete; also the undoing of a deploy. An attempt that fails (a full disk, say) is made again by itself, later and later, or at once
 * when somebody asks for the end again. Who asks is told of the attempt that follows: a receipt, or why not yet.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Deferred, deferred } from "../../contract/deferred.ts";
import type { Receipt } from "../../contract/receipt.ts";

/** How long until the second attempt, in ms; each later pause is twice the one before. */
const FIRST_PAUSE_MS = 250;
/** The longest pause, in ms: an end goes on soon after room is made, and an hour of a full disk costs 120 attempts. */
const LAST_PAUSE_MS = 30_000;

export class EndUnderWay<T = Receipt> {
  /** Why the last attempt failed; null while one is under way. */
  waiting_for: unknown = null;
  private result = outcome<T>();
  private again = deferred();
  private readonly hurried = new AbortController();

  /** `halted` ends it between two attempts; `on_failure` hears of each that failed, and how long the pause is, in ms. */
  constructor(
    private readonly attempt: () => Promise<T>,
    private readonly on_failure: (error: unknown, pause_ms: number) => void,
    private readonly halted: AbortSignal,
  ) {}

  /** Resolves when the end is complete, or halted. */
  async run(): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; !this.halted.aborted; pause = Math.min(pause * 2, LAST_PAUSE_MS)) {
      try {
        this.result.resolve(await this.attempt());
        return;
      } catch (error) {
        const { result } = this;
        this.result = outcome<T>();
        this.again = deferred();
        this.waiting_for = error;
        result.reject(error);
        if (this.halted.aborted) return;
        this.on_failure(error, pause);
        await this.rest(pause);
        this.waiting_for = null;
      }
    }
  }

  /** The outcome of the attempt under way, or of the next one, which then begins at once. */
  join(): Promise<T> {
    this.again.resolve();
    return this.result.promise;
  }

  /** Aborted when a grace that is under way is to be over. */
  get hurry(): AbortSignal {
    return this.hurried.signal;
  }

  /** The grace that is under way is over so long from now, in ms, if it is not before. */
  cut_short(grace_ms: number): void {
    setTimeout(() => this.hurried.abort(), grace_ms).unref();
  }

  /** Resolves when no attempt is under way. */
  async settled(): Promise<void> {
    if (this.waiting_for === null) await this.result.promise.catch(() => undefined /* told to who asked */);
  }

  private async rest(ms: number): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    this.halted.addEventListener("abort", wake, { once: true });
    void this.again.promise.then(wake);
    await delay(ms, undefined, { signal: woken.signal, ref: false }).catch(() => undefined /* woken */);
    this.halted.removeEventListener("abort", wake);
  }
}

/** An outcome that need not be asked for. */
function outcome<T>(): Deferred<T> {
  const result = deferred<T>();
  result.promise.catch(() => undefined);
  return result;
}
