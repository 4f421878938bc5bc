/** One open log: follows a growing one by the kernel's notices (inotify, no polling), and lets go of it whenever it is told to. */
import { constants, watch } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { deferred } from "../../contract/deferred.ts";
import { open_in_place, what_stands_at } from "../../drivers/in-place.ts";
import { scan_back, type Tail } from "./last-lines.ts";

const BLOCK_BYTES = 64 * 1024;

/** One open log. Closed by whoever comes first: its end, its client's leaving, or the agent's end. */
export class LogReader {
  private handle: FileHandle | null = null;
  /** What is being done with the file; it is closed only after that. */
  private busy: Promise<unknown> = Promise.resolve();
  private finished = false;
  private letting_go: Promise<void> | null = null;
  private readonly was_closed = deferred();
  /** Resolves when the file is closed. */
  readonly closed = this.was_closed.promise;
  private wake = deferred();
  private path = "";
  /** True when `chunks` came to the end of the log, or `chunks_backwards` to its beginning; false when it had to let go before. */
  complete = false;
  /** True when another file has its name now: it was rotated, and is complete. */
  replaced = false;

  constructor(private readonly on_closed: () => void) {}

  private get is_let_go(): boolean {
    return this.letting_go !== null;
  }

  /** Opens the file. False when the reader was made to let go meanwhile. */
  async attach(path: string): Promise<boolean> {
    if (this.is_let_go) return false;
    const opening = open_in_place(path, constants.O_RDONLY).then((handle) => {
      this.handle = handle;
    });
    await this.do(opening);
    this.path = path;
    return !this.is_let_go;
  }

  /** Where its last `count` lines begin, in bytes, and how many lines there are from there on: fewer when it has not so many. */
  async position_of_last_lines(count: number): Promise<Tail> {
    const { handle } = this;
    if (!handle || this.is_let_go) return { position: 0, lines: 0 };
    return this.do(scan_back(handle, count, () => this.is_let_go));
  }

  /** Its bytes from `position`; with `follow`, also those to come, until it is told that there are no more. Ends early when made to let go. */
  async *chunks(position: number, follow: boolean): AsyncGenerator<Buffer> {
    const watcher = follow && !this.is_let_go ? watch(this.path, () => this.wake.resolve()) : null;
    try {
      let at = position;
      while (!this.is_let_go && !this.complete) {
        const last_round = this.finished || !follow;
        this.wake = deferred();
        for (let block = await this.read(at); block; block = await this.read(at)) {
          at += block.length;
          yield block;
        }
        // Rotated before it was told that there is no more, it goes on in another file all the same.
        const replaced = await this.has_lost_its_name();
        if (last_round) {
          // A rotation that is seen only now: what was written between the last read and it is read first.
          this.complete = !this.is_let_go && (!replaced || this.replaced);
          this.replaced ||= replaced;
        } else if (replaced) this.finished = this.replaced = true;
        else if (!this.finished) await this.wake.promise;
      }
    } finally {
      watcher?.close();
      await this.let_go();
    }
  }

  /** Its blocks from the end, as it is now, to the beginning. */
  async *chunks_backwards(): AsyncGenerator<Buffer> {
    try {
      const { handle } = this;
      if (!handle || this.is_let_go) return;
      for (let end = (await this.do(handle.stat())).size; end > 0; ) {
        const start = Math.max(0, end - BLOCK_BYTES);
        const block = await this.read(start, end - start);
        if (!block) return;
        yield block;
        end = start;
      }
      this.complete = !this.is_let_go;
    } finally {
      await this.let_go();
    }
  }

  /** The file grows no more. */
  finish(): void {
    this.finished = true;
    this.wake.resolve();
  }

  /** Closes the file, after a read that is under way. Resolves when it is closed. */
  let_go(): Promise<void> {
    this.letting_go ??= this.close();
    this.wake.resolve();
    return this.letting_go;
  }

  /** A name that leads nowhere was removed, not rotated: the old name is never without a file. */
  private async has_lost_its_name(): Promise<boolean> {
    const { handle } = this;
    if (!handle || this.is_let_go) return false;
    const here = await this.do(handle.stat());
    const there = await what_stands_at(this.path);
    return there !== null && (there.ino !== here.ino || there.dev !== here.dev);
  }

  private async close(): Promise<void> {
    await this.busy;
    // After close(2) a descriptor is gone, whatever the call says.
    await this.handle?.close().catch(() => undefined);
    this.handle = null;
    this.on_closed();
    this.was_closed.resolve();
  }

  private async read(at: number, length = BLOCK_BYTES): Promise<Buffer | null> {
    const { handle } = this;
    if (!handle || this.is_let_go) return null;
    const block = Buffer.allocUnsafe(length);
    const { bytesRead } = await this.do(handle.read(block, 0, length, at));
    return bytesRead > 0 ? block.subarray(0, bytesRead) : null;
  }

  private do<T>(work: Promise<T>): Promise<T> {
    this.busy = work.catch(() => undefined /* who asked for it is told */);
    return work;
  }
}
