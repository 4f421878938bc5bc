/**
 * The pane: what a person sees in tmux. A view, not the log: it may skip, it may stop, it may be gone, and none of that
 * ever holds the agent or the log up. Writes are non-blocking; what tmux does not take at once waits in a small ring,
 * of which the oldest is dropped.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";

/** How much undrawn output is kept: several screens. Older output is in the log. */
const RING_BYTES = 64 * 1024;
/** One write at most; a pty takes about 4 KB at a time. */
const WRITE_BYTES = 4096;
/** How often an undrawn rest is offered again, in ms: a person sees no difference below 50. Only runs while there is a rest. */
const RETRY_MS = 25;

export class Pane {
  private fd: number | null;
  private ring: Buffer[] = [];
  private ring_bytes = 0;
  private skipped = false;
  private retry: NodeJS.Timeout | null = null;

  /** `path` is the pane's terminal. A pane that cannot be opened is no reason not to run an agent: it is not `open`, and shows nothing. */
  constructor(path: string) {
    this.fd = open_quietly(path);
  }

  get open(): boolean {
    return this.fd !== null;
  }

  /** Shows a chunk, now or soon, or skips it. Never blocks, never throws. */
  show(chunk: Buffer): void {
    if (this.fd === null) return;
    this.ring.push(chunk);
    this.ring_bytes += chunk.length;
    while (this.ring_bytes > RING_BYTES && this.ring.length > 1) {
      this.ring_bytes -= (this.ring.shift() as Buffer).length;
      this.skipped = true;
    }
    if (!this.retry) this.flush();
  }

  /** Gives the last output one more chance to be drawn, and closes. */
  close(): void {
    if (this.retry) clearTimeout(this.retry);
    this.retry = null;
    if (this.fd === null) return;
    this.offer();
    closeSync(this.fd);
    this.fd = null;
  }

  private flush(): void {
    this.retry = null;
    if (this.offer()) return;
    this.retry = setTimeout(() => this.flush(), RETRY_MS);
    this.retry.unref();
  }

  /** Writes until the pane is full or nothing is left. True when nothing is left. */
  private offer(): boolean {
    if (this.skipped) this.resume_at_line();
    while (this.ring.length > 0) {
      const chunk = this.ring[0] as Buffer;
      const written = this.write(chunk.subarray(0, WRITE_BYTES));
      if (written === 0) return false;
      this.ring_bytes -= written;
      if (written === chunk.length) this.ring.shift();
      else this.ring[0] = chunk.subarray(written);
    }
    return true;
  }

  /** After a gap the view goes on at the beginning of a line, so that no half escape sequence is drawn. */
  private resume_at_line(): void {
    this.skipped = false;
    const first = this.ring[0];
    const newline = first?.indexOf(0x0a) ?? -1;
    if (!first || newline < 0) return;
    this.ring[0] = first.subarray(newline + 1);
    this.ring_bytes -= newline + 1;
    if (this.ring[0].length === 0) this.ring.shift();
  }

  private write(data: Buffer): number {
    try {
      return writeSync(this.fd as number, data);
    } catch (error) {
      if (is_errno(error, "EAGAIN")) return 0;
      // EIO, ENXIO: tmux is gone. The rest has nobody to look at it.
      this.ring = [];
      this.ring_bytes = 0;
      return 0;
    }
  }
}

function open_quietly(path: string): number | null {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}
