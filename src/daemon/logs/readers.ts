/**
 * Who reads an agent's logs, and the gate that keeps them out while its files are set aside, verified and removed: a reader must never
 * be the holder that defers a removal. A client that does not read holds nothing up: its file is closed under it, and it goes on in the
 * file's next place.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Deferred, deferred } from "../../contract/deferred.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import { LogReader } from "./log-reader.ts";
import { LOOKS, Moved } from "./moved.ts";

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
   * with what `find` rejects with, with `Moved` when it is never where `find` says, or when the client goes away meanwhile. The file is closed when `signal` is aborted, whatever else happens.
   */
  async open(agent_id: string, find: () => Promise<string>, signal: AbortSignal): Promise<LogReader> {
    for (let looks = 1; ; ) {
      const gate = this.gate(agent_id);
      if (gate.shut > 0) {
        await unless_gone(gate.opened.promise, signal);
        continue;
      }
      // Known at the gate before the file is looked for: whoever shuts it from now on waits for this reader.
      const leave = () => void reader.let_go();
      const reader = new LogReader(() => {
        // One request may read a hundred parts, one after the other.
        signal.removeEventListener("abort", leave);
        this.leave(agent_id, gate, reader);
      });
      gate.readers.add(reader);
      if (signal.aborted) leave();
      signal.addEventListener("abort", leave, { once: true });
      try {
        const path = await find();
        // A file that is not there was moved between the look and the opening: it is looked for anew.
        const attached = reader.attach(path).catch((error) => {
          if (!is_errno(error, "ENOENT")) throw error;
          if (looks++ === LOOKS) throw new Moved(path, { cause: error });
          return false;
        });
        if (await attached) return reader;
        await reader.let_go();
      } catch (error) {
        await reader.let_go();
        throw error;
      }
      if (signal.aborted) throw gone();
    }
  }

  /** The bytes of a file from `position` to its end. Rejects with `Moved` when it is not there, or has to be let go before its end. */
  async *read(agent_id: string, path: string, position: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const reader = await this.open(agent_id, async () => path, signal);
    yield* reader.chunks(position, false);
    if (!reader.complete) throw signal.aborted ? gone() : new Moved(path);
  }

  /** The blocks of a file from its end, as it is now, to its beginning. Rejects as `read` does. */
  async *read_backwards(agent_id: string, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const reader = await this.open(agent_id, async () => path, signal);
    yield* reader.chunks_backwards();
    if (!reader.complete) throw signal.aborted ? gone() : new Moved(path);
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
