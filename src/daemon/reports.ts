/**
 * What agents say of themselves: appended to their JSONL files, of which the daemon is the only writer. A report is answered when its line
 * is written: it survives a crash of the daemon at once, and one of the machine as soon as the kernel has written it out (no fsync per line).
 * Reports that come while a write runs share the next one. No handle outlives its write, so that an end finds none.
 */
import { constants } from "node:fs";

import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { open_in_place } from "../drivers/in-place.ts";
import { no_answer, TASK_FILES, within } from "./patience.ts";

const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;

interface Queue {
  lines: string[];
  /** The write that will take `lines`; null when none is planned. */
  next: Promise<void> | null;
  running: Promise<void>;
  /** True while the file system does not answer: no more is taken, so that what waits does not grow. */
  stuck: boolean;
}

export class Reports {
  private readonly queues = new Map<string, Queue>();
  /** Files whose last line is known to be whole. */
  private readonly whole = new Set<string>();

  /** Appends one line. Reports of one file keep their order. Resolves when the line is written. */
  append(path: string, value: unknown): Promise<void> {
    const queue = this.queues.get(path) ?? { lines: [], next: null, running: Promise.resolve(), stuck: false };
    if (queue.stuck) return Promise.reject(no_answer(path, "this report was not taken"));
    this.queues.set(path, queue);
    queue.lines.push(`${JSON.stringify(value)}\n`);
    queue.next ??= this.write_next(path, queue);
    return within(queue.next, () => {
      queue.stuck = true;
      return no_answer(path, "the report is written when it does");
    });
  }

  /** How many files are remembered: of agents that have reported and whose end has not begun. */
  get remembered(): number {
    return new Set([...this.queues.keys(), ...this.whole]).size;
  }

  /**
   * Resolves when no report to these files is under way. Once an agent's end has begun none follows, so that none makes its file anew; nothing of them
   * is remembered from then on.
   */
  async settled(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      for (let queue = this.queues.get(path); queue; queue = this.queues.get(path)) {
        const last = queue.next ?? queue.running;
        await last.catch(() => undefined /* told to who reported */);
        if (this.queues.get(path) === queue && queue.next === null) break;
      }
      this.whole.delete(path);
    }
  }

  private async write_next(path: string, queue: Queue): Promise<void> {
    await queue.running.catch(() => undefined /* its own callers were told; these lines are others */);
    const text = queue.lines.join("");
    queue.lines = [];
    queue.next = null;
    queue.running = TASK_FILES.of(dirname(dirname(path))).in_turn(() => this.write(path, text));
    try {
      await queue.running;
    } finally {
      queue.stuck = false;
      if (queue.next === null) this.queues.delete(path);
    }
  }

  private async write(path: string, text: string): Promise<void> {
    const handle = await open_in_place(path, FLAGS, 0o600);
    try {
      const mend = !this.whole.has(path) && (await ends_halfway(handle));
      this.whole.delete(path);
      await handle.appendFile(mend ? `\n${text}` : text);
      this.whole.add(path);
    } finally {
      await handle.close();
    }
  }
}

/** True when a crash or a full disk left half a line: the next report must not be glued to it. */
async function ends_halfway(handle: FileHandle): Promise<boolean> {
  const { size } = await handle.stat();
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  return last[0] !== 0x0a;
}
