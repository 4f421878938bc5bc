/**
 * The log of one stream of the agent: a Node stream over a file that this host alone writes.
 * A full disk is not an error here but a wait: the bytes are kept, the agent is held by back-pressure, and the write is
 * tried again until there is room. Nothing is dropped and nothing is written twice: a partial write goes on where it stopped.
 */
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { trouble } from "../contract/errors.ts";
import { open_in_place } from "../drivers/in-place.ts";

/** Bytes kept in memory before the agent is made to wait. Large enough that one slow write does not stop a fast agent. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** writev(2) takes at most IOV_MAX buffers, 1024 on Linux. */
const MAX_BUFFERS = 1024;
/** How often a refused write is tried again, in ms: seldom enough to cost nothing, often enough to go on soon after room is made. */
const RETRY_MS = 200;
/** A write that takes this long is told of, in ms: the file system blocks (a dead network mount, a frozen disk). A busy disk takes tenths of a second. */
const SLOW_MS = 2_000;

/** O_APPEND: no seek can overwrite. A link planted in the log's place, or its directory's, is refused. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;

export class LogFile extends Writable {
  bytes_written = 0;
  /** Why writes do not go on, or null. */
  stalled: string | null = null;

  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly on_stall: (reason: string | null) => void,
  ) {
    super({ highWaterMark: HIGH_WATER_BYTES, decodeStrings: true });
  }

  /** Opens the log, mode 0600. Rejects with the system's error when it cannot be made, or is a link. */
  static async open(path: string, on_stall: (reason: string | null) => void): Promise<LogFile> {
    return new LogFile(path, await open_in_place(path, FLAGS, 0o600), on_stall);
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
    let rest = chunks;
    while (rest.length > 0) {
      const written = await this.patiently(
        async () => (await this.handle.writev(rest.slice(0, MAX_BUFFERS))).bytesWritten,
      );
      this.bytes_written += written;
      rest = skip(rest, written);
    }
  }

  private async sync_and_close(): Promise<void> {
    await this.patiently(() => this.handle.datasync());
    await this.handle.close();
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
    this.on_stall(reason);
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
