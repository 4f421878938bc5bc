/**
 * The pane: what a person sees in tmux. A view, not the log: it may skip, it may stop, it may be gone, and none of that
 * ever holds the agent or the log up. Writes are non-blocking. A flood is shown in frames: tmux draws 30 to 70 MB/s with a whole core, and a core that
 * draws what nobody can read is one that the agent does not have. What does not fit into a frame, or is not taken at once, waits in a small ring, of which the oldest is dropped.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";
import { monotonic_ms } from "../contract/monotonic.ts";
import { ViewRing } from "./view-ring.ts";

/** How much undrawn output is kept: several screens. Older output is in the log. */
const RING_BYTES = 64 * 1024;
/** How much is shown in a frame: as much as the ring has. Output of less than 1.3 MB/s passes at once. */
const FRAME_BYTES = RING_BYTES;
/** How long a frame lasts, and how soon an undrawn rest is offered again, in ms: a person sees no difference below 50. Only runs while there is a rest. */
const FRAME_MS = 50;

/** CAN ends what a terminal has of an unfinished sequence (ECMA-48); between sequences it means nothing. */
const CAN = Buffer.of(0x18);
const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

/** One stream's way into the view, chunk by chunk in order. */
export interface ViewFilter {
  /** What of it may be shown. */
  pass(chunk: Buffer): Buffer;
  /** Some of the stream was left out: what comes next does not follow what came before. */
  skip(): void;
}

export class Pane {
  private fd: number | null;
  private readonly ring = new ViewRing<ViewFilter>(RING_BYTES);
  /** Passed its filter, and not yet taken by the pane. */
  private passed: Buffer = NOTHING;
  private frame = { ends: 0, left: FRAME_BYTES };
  private retry: NodeJS.Timeout | null = null;

  /** `path` is the pane's terminal. A pane that cannot be opened is no reason not to run an agent: it is not `open`, and shows nothing. */
  constructor(path: string) {
    this.fd = open_quietly(path);
  }

  get open(): boolean {
    return this.fd !== null;
  }

  /** Shows a chunk, now or soon, or skips it. Never blocks, never throws. What is kept is a copy. */
  show(chunk: Buffer, filter: ViewFilter): void {
    if (this.fd === null) return;
    this.ring.push(chunk, filter);
    if (!this.retry) this.flush();
  }

  /** Gives the last output one more chance to be drawn, and closes. */
  close(): void {
    if (this.retry) clearTimeout(this.retry);
    this.retry = null;
    if (this.fd === null) return;
    this.frame = { ends: Number.POSITIVE_INFINITY, left: Number.POSITIVE_INFINITY };
    this.offer();
    closeSync(this.fd);
    this.fd = null;
  }

  private flush(): void {
    this.retry = null;
    const now = monotonic_ms();
    if (now >= this.frame.ends) this.frame = { ends: now + FRAME_MS, left: FRAME_BYTES };
    if (this.offer()) return;
    this.retry = setTimeout(() => this.flush(), FRAME_MS);
    this.retry.unref();
  }

  /** Writes until the pane or the frame is full, or nothing is left. True when nothing is left. */
  private offer(): boolean {
    for (;;) {
      while (this.passed.length > 0) {
        const written = this.write(this.passed.subarray(0, this.frame.left));
        this.frame.left -= written;
        this.passed = this.passed.subarray(written);
        if (written > 0) continue;
        // It is the ring's memory, which is used again.
        this.passed = Buffer.from(this.passed);
        return false;
      }
      const next = this.ring.shift();
      if (!next) return true;
      const { chunk, from, after_gap } = next;
      this.passed = after_gap ? resume(chunk, from) : from.pass(chunk);
    }
  }

  private write(data: Buffer): number {
    if (data.length === 0) return 0;
    try {
      return writeSync(this.fd as number, data);
    } catch (error) {
      if (is_errno(error, "EAGAIN")) return 0;
      // EIO, ENXIO: tmux is gone. The rest has nobody to look at it.
      this.ring.clear();
      this.passed = NOTHING;
      return 0;
    }
  }
}

/** After a gap a stream goes on at the beginning of a line, so that no half escape sequence is drawn, and none goes on that the gap has cut off. */
function resume(chunk: Buffer, filter: ViewFilter): Buffer {
  filter.skip();
  return Buffer.concat([CAN, filter.pass(chunk.subarray(chunk.indexOf(NEWLINE) + 1))]);
}

function open_quietly(path: string): number | null {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}
