/** What agents say of themselves: appended to their JSONL files. Each append opens, writes and closes, so that no handle outlives it. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";

const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

export class Reports {
  private readonly queues = new Map<string, Promise<void>>();

  /** Appends one line. Reports of one file keep their order. */
  append(path: string, value: unknown): Promise<void> {
    const before = this.queues.get(path) ?? Promise.resolve();
    const write = before.then(async () => {
      const handle = await open(path, FLAGS, 0o600);
      try {
        await handle.appendFile(`${JSON.stringify(value)}\n`);
      } finally {
        await handle.close();
      }
    });
    // The next report goes on even when this one failed; its own caller is told.
    const settled = write
      .catch(() => undefined)
      .then(() => {
        if (this.queues.get(path) === settled) this.queues.delete(path);
      });
    this.queues.set(path, settled);
    return write;
  }
}
