/**
 * Readers of logs. Reads from the end of a huge file, follows a growing one by the kernel's notices (inotify, no polling), and lets
 * go of every file while its agent's files are set aside, verified and removed: a reader must never be the holder that defers a
 * removal. A client that does not read holds nothing up: its file is closed under it, and it goes on in the file's next place.
 */
import { constants, watch } from "node:fs";
import { type FileHandle, lstat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { type Deferred, deferred } from "../../contract/deferred.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import { open_in_place } from "../../drivers/in-place.ts";

const BLOCK_BYTES = 64 * 1024;
/** How long a reader may take to come to the end of a log that grows no more, in ms; a client that does not read must not hold an end up. */
const LAST_READ_MS = 2_000;

/** The readers of one agent's files, and whether new ones must wait. */
interface Gate {
  readers: Set<LogReader>;
  /** How many are busy with the agent's files; while there is one, nobody opens them. */
  shut: number;
  opened: Deferred<void>;
}

export class LogReaders {
  private readonly gates = new Map<string, Gate>();

  /**
   * Opens an agent's log for reading. Waits while the agent's files are being dealt with; then `find` says where the log is. Rejects
   * with what `find` rejects with, or when the client goes away meanwhile. The file is closed when `signal` is aborted, whatever else happens.
   */
  async open(agent_id: string, find: () => Promise<string>, signal: AbortSignal): Promise<LogReader> {
    for (let tried = ""; ; ) {
      const gate = this.gate(agent_id);
      if (gate.shut > 0) {
        await unless_gone(gate.opened.promise, signal);
        continue;
      }
      // Known at the gate before the file is looked for: whoever shuts it from now on waits for this reader.
      const reader = new LogReader(() => this.leave(agent_id, gate, reader));
      gate.readers.add(reader);
      const leave = () => void reader.let_go();
      if (signal.aborted) leave();
      signal.addEventListener("abort", leave, { once: true });
      try {
        const path = await find();
        const again = path === tried;
        tried = path;
        // A file that is not there was moved between the look and the opening: it is looked for once more.
        const attached = reader.attach(path).catch((error) => {
          if (again || !is_errno(error, "ENOENT")) throw error;
          return false;
        });
        if (await attached) return reader;
        await reader.let_go();
      } catch (error) {
        await reader.let_go();
        throw error;
      }
      signal.removeEventListener("abort", leave);
      if (signal.aborted) throw gone();
    }
  }

  /** The bytes of a file from `position`; with `follow`, also those to come, until the agent ends. Ends early when made to let go. */
  async *read(
    agent_id: string,
    path: string,
    options: { position: number; follow: boolean; signal: AbortSignal },
  ): AsyncGenerator<Buffer> {
    const reader = await this.open(agent_id, async () => path, options.signal);
    yield* reader.chunks(options.position, options.follow);
  }

  /** The blocks of a file from its end, as it is now, to its beginning. */
  async *read_backwards(agent_id: string, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const reader = await this.open(agent_id, async () => path, signal);
    yield* reader.chunks_backwards();
  }

  /** Does `work` while no reader holds a file of this agent. Those there are come to their end, or are made to let go. */
  async without<T>(agent_id: string, work: () => Promise<T>): Promise<T> {
    const gate = this.gate(agent_id);
    gate.shut++;
    try {
      const readers = [...gate.readers];
      for (const one of readers) one.finish();
      await settled_within(LAST_READ_MS, readers);
      for (const one of readers) void one.let_go();
      // A read that the disk does not answer cannot be taken back; lsof then names the supervisor itself as the holder.
      await settled_within(LAST_READ_MS, readers);
      return await work();
    } finally {
      if (--gate.shut === 0) {
        gate.opened.resolve();
        gate.opened = deferred();
        this.forget_if_idle(agent_id, gate);
      }
    }
  }

  private gate(agent_id: string): Gate {
    let gate = this.gates.get(agent_id);
    if (!gate) {
      gate = { readers: new Set(), shut: 0, opened: deferred() };
      this.gates.set(agent_id, gate);
    }
    return gate;
  }

  private leave(agent_id: string, gate: Gate, reader: LogReader): void {
    gate.readers.delete(reader);
    this.forget_if_idle(agent_id, gate);
  }

  private forget_if_idle(agent_id: string, gate: Gate): void {
    if (gate.readers.size === 0 && gate.shut === 0 && this.gates.get(agent_id) === gate) this.gates.delete(agent_id);
  }
}

/** Where last lines begin, and how many they are. */
export interface Tail {
  position: number;
  lines: number;
}

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
  /** True when `chunks` came to the end of the log; false when it had to let go before. */
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
          this.replaced ||= replaced;
          this.complete = !this.is_let_go;
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
    const there = await lstat(this.path).catch((error) => {
      if (is_errno(error, "ENOENT")) return null;
      throw error;
    });
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

/** Resolves when all have let go, or the time is up. */
async function settled_within(ms: number, readers: LogReader[]): Promise<void> {
  if (readers.length === 0) return;
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).catch(() => undefined /* aborted: all have let go */);
  await Promise.race([Promise.all(readers.map((one) => one.closed)), late]);
  timer.abort();
}

/** As the promise, but rejects when the client goes away. */
async function unless_gone<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw gone();
  const aborted = deferred<never>();
  const on_abort = () => aborted.reject(gone());
  signal.addEventListener("abort", on_abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", on_abort);
  }
}

const gone = () => new SupervisorError("timeout", "the client went away");

/** Where the last `count` lines of a file begin. Reads backwards, in blocks, and keeps none of them. */
export async function position_of_last_lines(path: string, count: number): Promise<Tail> {
  const handle = await open_in_place(path, constants.O_RDONLY);
  try {
    return await scan_back(handle, count, () => false);
  } finally {
    await handle.close();
  }
}

async function scan_back(handle: FileHandle, count: number, stopped: () => boolean): Promise<Tail> {
  const { size } = await handle.stat();
  if (count <= 0 || size === 0) return { position: size, lines: 0 };
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let newlines = 0;
  for (let end = size; end > 0 && !stopped(); ) {
    const start = Math.max(0, end - BLOCK_BYTES);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      // The newline that ends the last line begins no further one.
      if (block[i] !== 0x0a || start + i === size - 1) continue;
      if (++newlines === count) return { position: start + i + 1, lines: count };
    }
    end = start;
  }
  return { position: 0, lines: newlines + 1 };
}
