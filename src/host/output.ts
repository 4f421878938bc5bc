/**
 * One stream of the agent on its way into its log: reads, hands every chunk to the log and to the pane, and holds the
 * agent back when the log cannot follow. Ends by a marker instead of a timer: when nobody can print any more, the host
 * writes a random marker into the same stream; the kernel keeps order, so all that comes before it is the agent's.
 */
import { closeSync, openSync, readSync, write as write_fd } from "node:fs";
import type { Readable } from "node:stream";
import { monotonic_ms } from "../contract/monotonic.ts";
import type { StreamAccount } from "../contract/receipt.ts";
import { Bursts } from "./bursts.ts";
import { printed } from "./heap.ts";
import type { LogFile } from "./log-file.ts";

/** After this long without a byte and without the marker, in ms, the stream may be held by flow control: `unblock` is called, again each time. */
const UNBLOCK_MS = 150;
/** How soon a marker that did not fit is offered again, in ms: the reader empties the pipe meanwhile. */
const MARKER_RETRY_MS = 5;
/** After this long without a byte and without the marker, in ms, the drain is given up and the receipt says so. */
const GIVE_UP_MS = 5_000;

export interface OutputOptions {
  /** The role of the log in `tracked_files`. */
  name: string;
  source: Readable;
  /** The descriptor that `source` reads; it never blocks. */
  source_fd: number;
  /** A descriptor that writes into `source`; the marker goes through it. */
  marker_fd: number;
  log: LogFile;
  /** Sees every chunk as well, must not block, and copies what it keeps. */
  view: (chunk: Buffer) => void;
  /** Lifts flow control that would hold the marker back. */
  unblock: () => Promise<void>;
}

export class Output {
  bytes_read = 0;
  /** Bytes at the end of what was read that may be the beginning of the marker. Empty unless draining. */
  private held = Buffer.alloc(0);
  private marker: Buffer | null = null;
  private marker_seen: (() => void) | null = null;
  private last_byte_at = monotonic_ms();
  private drained = false;
  readonly notes: string[] = [];

  constructor(private readonly options: OutputOptions) {
    const bursts = new Bursts(options.source_fd);
    options.source.on("data", (chunk: Buffer) => this.take_with_more(chunk, bursts));
    options.log.on("drain", () => {
      if (!this.drained) options.source.resume();
    });
  }

  get account(): StreamAccount {
    const { name, log } = this.options;
    return {
      name,
      path: log.path,
      bytes_read: this.bytes_read,
      bytes_written: log.bytes_written,
      segments: log.segments,
    };
  }

  /** Everything that the kernel still holds goes into the log; afterwards nothing is read any more. */
  async drain(): Promise<void> {
    const marker = random_marker();
    const seen = new Promise<void>((resolve) => {
      this.marker_seen = resolve;
    });
    this.marker = marker;
    this.last_byte_at = monotonic_ms();
    this.write_marker(marker);
    await this.watch(seen);
    // What a survivor prints from here on has no log to go to; the receipt names the survivor.
    this.drained = true;
    this.options.source.pause();
  }

  /** Ends the log: all written, synced and closed. */
  async close(): Promise<void> {
    const { log, source } = this.options;
    log.end();
    await new Promise<void>((resolve, reject) => {
      log.once("close", resolve);
      log.once("error", reject);
    });
    source.destroy();
  }

  /**
   * In a thread of the pool, because a terminal takes it only when the log has made room. A pipe is non-blocking and takes
   * a write of this size whole or not at all (pipe(7), PIPE_BUF), so that it is tried again.
   */
  private write_marker(marker: Buffer): void {
    write_fd(this.options.marker_fd, marker, (error) => {
      if (error?.code === "EAGAIN") setTimeout(() => this.write_marker(marker), MARKER_RETRY_MS);
      else if (error) this.notes.push(`${this.options.name}: the drain marker could not be written (${error.code})`);
    });
  }

  /** A chunk, and what the kernel has beyond it: one write for both. */
  private take_with_more(chunk: Buffer, bursts: Bursts): void {
    const { log, source } = this.options;
    log.cork();
    this.take(chunk);
    // Never past what the stream itself has read, nor while the log cannot follow.
    const may_read = !this.drained && source.readableLength === 0 && !source.isPaused();
    const more = may_read ? bursts.after(chunk) : null;
    if (more) this.take(more.bytes, more.release);
    log.uncork();
  }

  /** `written` is called when nobody needs the chunk's memory any more; perhaps never. */
  private take(chunk: Buffer, written?: () => void): void {
    if (this.drained) return;
    this.last_byte_at = monotonic_ms();
    if (!this.marker) {
      this.keep(chunk, written);
      return;
    }
    const all = this.held.length > 0 ? Buffer.concat([this.held, chunk]) : chunk;
    const at = all.indexOf(this.marker);
    if (at >= 0) {
      this.held = Buffer.alloc(0);
      this.keep(Buffer.concat([all.subarray(0, at), all.subarray(at + this.marker.length)]));
      this.marker = null;
      this.marker_seen?.();
      return;
    }
    const keep_back = Math.min(all.length, this.marker.length - 1);
    this.held = Buffer.from(all.subarray(all.length - keep_back));
    this.keep(all.subarray(0, all.length - keep_back));
  }

  private keep(chunk: Buffer, written?: () => void): void {
    if (chunk.length === 0) return;
    const { log, source, view } = this.options;
    this.bytes_read += chunk.length;
    printed(this.bytes_read);
    if (!log.write(chunk, written)) source.pause();
    view(chunk);
  }

  /** Waits for the marker; looks whether the stream is stuck. A log that stalls is not stuck: it is waited for. */
  private watch(seen: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      let unblocking = false;
      const timer = setInterval(() => {
        const { log, name } = this.options;
        if (log.writableNeedDrain) {
          this.last_byte_at = monotonic_ms();
          return;
        }
        const quiet = monotonic_ms() - this.last_byte_at;
        if (quiet > GIVE_UP_MS) {
          this.notes.push(
            `${name}: the drain marker did not come back within ${GIVE_UP_MS} ms of silence; all that was read is in the log`,
          );
          this.give_up();
          done();
        } else if (!unblocking) {
          unblocking = true;
          void this.options
            .unblock()
            .catch(() => undefined /* no means to start stty: it is tried again at the next look */)
            .finally(() => {
              unblocking = false;
            });
        }
      }, UNBLOCK_MS);
      const done = () => {
        clearInterval(timer);
        resolve();
      };
      void seen.then(done);
    });
  }

  private give_up(): void {
    const { held } = this;
    this.marker = null;
    this.held = Buffer.alloc(0);
    this.keep(held);
  }
}

/** 24 bytes that nobody can guess, of which none means anything to a terminal, whatever its settings. From the kernel: node:crypto would cost each host 0.7 MB. */
function random_marker(): Buffer {
  const marker = Buffer.alloc(24);
  const source = openSync("/dev/urandom", "r");
  try {
    readSync(source, marker);
  } finally {
    closeSync(source);
  }
  for (let i = 0; i < marker.length; i++) marker[i] = 0x80 | ((marker[i] as number) & 0x3f);
  return marker;
}
