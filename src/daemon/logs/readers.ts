/**
 * Readers of logs. Reads from the end of a huge file, follows a growing one by the kernel's notices (inotify, no polling), and lets
 * go of every file before its agent's files are verified: a follower must never be the holder that defers a removal.
 */
import { constants, watch } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { deferred } from "../../contract/deferred.ts";
import { open_in_place } from "../../drivers/in-place.ts";

const BLOCK_BYTES = 64 * 1024;
/** How long a follower may take to read the rest when its agent ends, in ms; a client that does not read must not hold an end up. */
const LAST_READ_MS = 2_000;

interface Reader {
  /** Told that the file will grow no more. */
  finish: () => void;
  /** Told to let go at once. */
  abort: () => void;
  closed: Promise<void>;
}

export class LogReaders {
  private readonly open_readers = new Map<string, Set<Reader>>();

  /** The bytes of a file from `position`; with `follow`, also those to come, until the agent ends. */
  async *read(
    agent_id: string,
    path: string,
    options: { position: number; follow: boolean; signal: AbortSignal },
  ): AsyncGenerator<Buffer> {
    const handle = await open_in_place(path, constants.O_RDONLY);
    let finished = !options.follow;
    let wake = deferred();
    const reader = this.register(agent_id, options.signal, () => {
      finished = true;
      wake.resolve();
    });
    reader.stop.addEventListener("abort", () => wake.resolve(), { once: true });
    const watcher = options.follow ? watch(path, () => wake.resolve()) : null;
    try {
      let { position } = options;
      while (!reader.stop.aborted) {
        const last_round = finished;
        wake = deferred();
        let bytes = 0;
        do {
          const block = Buffer.allocUnsafe(BLOCK_BYTES);
          ({ bytesRead: bytes } = await handle.read(block, 0, BLOCK_BYTES, position));
          position += bytes;
          if (bytes > 0) yield block.subarray(0, bytes);
        } while (bytes > 0 && !reader.stop.aborted);
        if (last_round) break;
        if (!finished) await wake.promise;
      }
    } finally {
      watcher?.close();
      await handle.close();
      reader.release();
    }
  }

  /** The blocks of a file from its end, as it is now, to its beginning. */
  async *read_backwards(agent_id: string, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const handle = await open_in_place(path, constants.O_RDONLY);
    const reader = this.register(agent_id, signal, () => {});
    try {
      for (let end = (await handle.stat()).size; end > 0 && !reader.stop.aborted; ) {
        const start = Math.max(0, end - BLOCK_BYTES);
        const block = Buffer.allocUnsafe(end - start);
        const { bytesRead } = await handle.read(block, 0, end - start, start);
        yield block.subarray(0, bytesRead);
        end = start;
      }
    } finally {
      await handle.close();
      reader.release();
    }
  }

  /** Lets every reader of this agent come to its end. Resolves when none holds the log any more. */
  async close(agent_id: string): Promise<void> {
    const readers = [...(this.open_readers.get(agent_id) ?? [])];
    for (const one of readers) one.finish();
    const all = Promise.all(readers.map((one) => one.closed));
    await Promise.race([all, delay(LAST_READ_MS, undefined, { ref: false })]);
    for (const one of readers) one.abort();
    await Promise.race([all, delay(LAST_READ_MS, undefined, { ref: false })]);
    this.open_readers.delete(agent_id);
  }

  /** From here the end of the agent waits for `release`, and may ask for it by `finish` and then by aborting `stop`. */
  private register(agent_id: string, signal: AbortSignal, finish: () => void) {
    const closed = deferred();
    const stop = new AbortController();
    const reader: Reader = { finish, abort: () => stop.abort(), closed: closed.promise };
    signal.addEventListener("abort", reader.abort, { once: true });
    const readers = this.open_readers.get(agent_id) ?? new Set();
    readers.add(reader);
    this.open_readers.set(agent_id, readers);
    const release = () => {
      signal.removeEventListener("abort", reader.abort);
      this.open_readers.get(agent_id)?.delete(reader);
      closed.resolve();
    };
    return { stop: stop.signal, release };
  }
}

/** Where the last `count` lines of a file begin. Reads backwards, in blocks, and keeps none of them. */
export async function position_of_last_lines(path: string, count: number): Promise<number> {
  const handle = await open_in_place(path, constants.O_RDONLY);
  try {
    const { size } = await handle.stat();
    return await scan_back(handle, size, count);
  } finally {
    await handle.close();
  }
}

async function scan_back(handle: FileHandle, size: number, count: number): Promise<number> {
  if (count <= 0) return size;
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let newlines = 0;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - BLOCK_BYTES);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      // The newline that ends the last line begins no further one.
      if (block[i] !== 0x0a || start + i === size - 1) continue;
      if (++newlines === count) return start + i + 1;
    }
    end = start;
  }
  return 0;
}
