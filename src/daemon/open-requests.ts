/** Requests to a host that have no answer yet. */
import { deferred } from "../contract/deferred.ts";

interface Open {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout | undefined;
}

export class OpenRequests {
  private readonly waiting = new Map<number, Open>();
  private last_id = 0;

  /** A new one. It rejects with the error of `late` when the deadline passes (ms; null for none); an answer that comes after it is nobody's. */
  make(deadline_ms: number | null, late: () => Error): { id: number; answer: Promise<unknown> } {
    const id = ++this.last_id;
    const { promise, resolve, reject } = deferred<unknown>();
    const timer = deadline_ms === null ? undefined : setTimeout(() => this.fail(id, late()), deadline_ms);
    this.waiting.set(id, { resolve, reject, timer });
    return { id, answer: promise };
  }

  answer(id: number, value: unknown): void {
    this.take(id)?.resolve(value);
  }

  fail(id: number, error: Error): void {
    this.take(id)?.reject(error);
  }

  /** There will be no more answers. */
  fail_all(error: Error): void {
    for (const id of [...this.waiting.keys()]) this.fail(id, error);
  }

  private take(id: number): Open | undefined {
    const open = this.waiting.get(id);
    this.waiting.delete(id);
    clearTimeout(open?.timer);
    return open;
  }
}
