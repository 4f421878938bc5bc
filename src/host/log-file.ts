/**
 * The log of one stream of the agent: a Node stream over a file that this host alone writes. It may have a limit: then the full file is
 * rotated away at a line's end, or the agent is made to wait.
 * A full disk is not an error here but a wait: the bytes are kept, the agent is held by back-pressure, and the write is
 * tried again until there is room. Nothing is dropped and nothing is written twice: a partial write goes on where it stopped.
 */
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { trouble } from "../contract/errors.ts";
import type { LogLimit } from "../contract/log-limit.ts";
import { open_in_place } from "../drivers/in-place.ts";
import { end_of_part } from "./line-end.ts";
import { rotate } from "./segment.ts";

/** Bytes kept in memory before the agent is made to wait. Large enough that one slow write does not stop a fast agent. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** writev(2) takes at most IOV_MAX buffers, 1024 on Linux. */
const MAX_BUFFERS = 1024;
/** How often a refused write is tried again, in ms: seldom enough to cost nothing, often enough to go on soon after room is made. */
const RETRY_MS = 200;
/** A write that takes this long is told of, in ms: the file system blocks (a dead network mount, a frozen disk). A busy disk takes tenths of a second. */
const SLOW_MS = 2_000;

const NEWLINE = 0x0a;
/** O_APPEND: no seek can overwrite. A link planted in the log's place, or its directory's, is refused. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;

export interface LogFileOptions {
  limit: LogLimit;
  /** Where full parts are recorded. */
  parts_record: string;
  on_stall(reason: string | null): void;
  /** A full part got this number. */
  on_rotated(number: number): void;
}

export class LogFile extends Writable {
  bytes_written = 0;
  /** Why writes do not go on, or null. */
  stalled: string | null = null;
  /** The highest number that a full part has. */
  segments = 0;
  /** What is in the file that has the log's own name now. */
  private part_bytes = 0;
  private at_line_start = true;
  private limit: LogLimit;
  /** No limit that is set from now on counts. */
  private lifted = false;
  private limit_changed: (() => void) | null = null;

  private constructor(
    readonly path: string,
    private handle: FileHandle,
    private readonly options: LogFileOptions,
  ) {
    super({ highWaterMark: HIGH_WATER_BYTES, decodeStrings: true });
    this.limit = options.limit;
  }

  /** Opens the log, mode 0600. Rejects with the system's error when it cannot be made, or is a link. */
  static async open(path: string, options: LogFileOptions): Promise<LogFile> {
    return new LogFile(path, await open_in_place(path, FLAGS, 0o600), options);
  }

  /** Another limit from now on; null for none. A log that waits for room goes on if there is some. */
  set_max_bytes(max_bytes: number | null): void {
    if (this.lifted) return;
    this.limit = { ...this.limit, max_bytes };
    this.limit_changed?.();
  }

  /** The agent is being ended: what it prints from here on is kept, whatever the limit says. */
  lift(): void {
    if (this.limit.full === "pause") this.set_max_bytes(null);
    this.lifted = true;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.write_all([chunk]).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.write_all(chunks.map(({ chunk }) => chunk)).then(() => done(), done);
  }

  /** Last step of the stream: everything is on the disk before `finish`, and the descriptor is closed before `close`. */
  override _final(done: (error?: Error | null) => void): void {
    this.sync_and_close().then(() => done(), done);
  }

  private async write_all(chunks: Buffer[]): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const { max_bytes } = this.limit;
    if (max_bytes === null || this.part_bytes + bytes <= max_bytes) return this.append(chunks);
    for (const chunk of chunks) {
      for (let rest = chunk; rest.length > 0; ) rest = rest.subarray(await this.append_some(rest));
    }
  }

  /** Appends as much of a chunk as goes into this part, or makes room for it. Resolves with the bytes that were taken; 0 when there is room now. */
  private async append_some(chunk: Buffer): Promise<number> {
    const { max_bytes, full } = this.limit;
    let take = chunk.length;
    if (max_bytes !== null && full === "pause") {
      take = Math.min(chunk.length, max_bytes - this.part_bytes);
      if (take <= 0) {
        await this.wait_for_room(max_bytes);
        return 0;
      }
    } else if (max_bytes !== null) {
      const at_line_start = this.part_bytes > 0 && this.at_line_start;
      take = end_of_part(chunk, { room: max_bytes - this.part_bytes, at_line_start });
      if (take === 0) {
        await this.begin_part();
        return 0;
      }
    }
    await this.append([chunk.subarray(0, take)]);
    return take;
  }

  private async append(chunks: Buffer[]): Promise<void> {
    let rest = chunks;
    while (rest.length > 0) {
      const written = await this.patiently(
        async () => (await this.handle.writev(rest.slice(0, MAX_BUFFERS))).bytesWritten,
      );
      this.bytes_written += written;
      this.part_bytes += written;
      rest = skip(rest, written);
    }
    this.at_line_start = chunks.at(-1)?.at(-1) === NEWLINE;
  }

  /** The full part is on the disk before it gets its number. */
  private async begin_part(): Promise<void> {
    await this.patiently(() => this.handle.datasync());
    const { handle, number } = await this.patiently(() =>
      rotate(this.path, this.segments + 1, this.options.parts_record),
    );
    const full = this.handle;
    this.handle = handle;
    this.part_bytes = 0;
    this.at_line_start = true;
    // After close(2) a descriptor is gone, whatever the call says; what was written is on the disk.
    await full.close().catch(() => undefined);
    if (number === null) return;
    this.segments = number;
    this.options.on_rotated(number);
  }

  private async wait_for_room(max_bytes: number): Promise<void> {
    this.set_stalled(
      `${this.path}: it has reached its limit of ${max_bytes} bytes; raise it with 'supervisor set AGENT --log-max SIZE'`,
    );
    await new Promise<void>((resolve) => {
      this.limit_changed = resolve;
    });
    this.limit_changed = null;
    this.set_stalled(null);
  }

  private async sync_and_close(): Promise<void> {
    await this.patiently(() => this.handle.datasync());
    await this.handle.close().catch(() => undefined /* as above: it is gone, and all of it is on the disk */);
  }

  /**
   * Tries until it works. Every error waits: to give a byte up is never right while it can still be kept. A file system that blocks is
   * waited for as well; the call cannot be taken back, and a second one beside it could write twice.
   */
  private async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const slow = setTimeout(
        () => this.set_stalled(`${this.path}: the file system has not answered for ${SLOW_MS / 1000} s`),
        SLOW_MS,
      );
      try {
        const result = await work();
        this.set_stalled(null);
        return result;
      } catch (error) {
        this.set_stalled(`${this.path}: ${trouble(error)}`);
      } finally {
        clearTimeout(slow);
      }
      await delay(RETRY_MS);
    }
  }

  private set_stalled(reason: string | null): void {
    if (reason === this.stalled) return;
    this.stalled = reason;
    this.options.on_stall(reason);
  }
}

/** What is left of `chunks` when `written` bytes of them are done. */
function skip(chunks: Buffer[], written: number): Buffer[] {
  let index = 0;
  let left = written;
  for (; index < chunks.length; index++) {
    const chunk = chunks[index] as Buffer;
    if (left < chunk.length) break;
    left -= chunk.length;
  }
  const rest = chunks.slice(index);
  if (left > 0 && rest[0]) rest[0] = rest[0].subarray(left);
  return rest;
}
