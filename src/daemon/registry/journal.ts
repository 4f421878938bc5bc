/**
 * The receipts journal of one task, `receipts.jsonl`: ended agents that have left the registry, one JSON object a line, in the order in which
 * they left. Appended and synced before the registry forgets the agent; written by the registry alone. No handle is kept between two
 * calls, and of what is in it the memory has an index alone (`JournalIndex`).
 *
 * A line that a crash cut short is the last one, and begins as our lines begin; it is cut off, because its agent is still in the registry. A last
 * line that only has no end gets one. Lines that are no record stay in the file, with a warning, also when it is written anew: they may be what is
 * left of somebody's receipt, or a person's.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { AgentRecord } from "../../contract/agent.ts";
import { is_errno } from "../../contract/errors.ts";
import { in_directory, open_in_place, remove_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { Lane, no_answer, within } from "../patience.ts";
import { JournalIndex } from "./journal-index.ts";
import { copy_lines, type Entry, entry_of, to_record } from "./journal-lines.ts";
import type { Sums } from "./sums.ts";

export class Journal {
  private known = new JournalIndex();
  private readonly lane = new Lane(1);

  private constructor(
    readonly path: string,
    private readonly warn: (text: string) => void,
  ) {}

  /** Reads what there is. Rejects with `out_of_place` for a link in its place, or with the system's error. */
  static async load(path: string, warn: (text: string) => void): Promise<Journal> {
    const journal = new Journal(path, warn);
    // A rewrite that did not come to its end.
    await remove_in_place(`${path}.new`);
    const file = await open_in_place(path, constants.O_RDONLY).catch(no_file);
    if (!file) return journal;
    try {
      await journal.read_index(file);
    } finally {
      await file.close();
    }
    return journal;
  }

  entries(): IterableIterator<Entry> {
    return this.known.entries.values();
  }

  get(id: string): Entry | undefined {
    return this.known.entries.get(id);
  }

  /** The entry that an agent would get if it left now: with its length, and no place. */
  entry_to_be(agent: AgentRecord): Entry {
    return entry_of(agent, this.known.size, Buffer.byteLength(line_of(agent)));
  }

  get count(): number {
    return this.known.entries.size;
  }

  /** What all who ever left add up to, also those that are forgotten. */
  get sums(): Readonly<Sums> {
    return this.known.all;
  }

  /** How many lines are no record: whose they were nobody can tell. */
  get unreadable(): number {
    return this.known.strange_lines;
  }

  /** The file's size, in bytes. */
  get bytes(): number {
    return this.known.size;
  }

  /**
   * Makes what is in the file last. For a start that finds an agent in both the journal and the registry: whoever wrote it here may have died before
   * it was synced, and once the registry forgets the agent this is all there is of it.
   */
  sync(): Promise<void> {
    return this.lane.in_turn(async () => {
      await in_directory(dirname(this.path), async (at, directory) => {
        const file = await open(at(basename(this.path)), constants.O_RDWR | constants.O_NOFOLLOW);
        try {
          await file.sync();
          await directory.sync();
        } finally {
          await file.close();
        }
      });
    });
  }

  /** Adds agents. On the disk when it resolves. */
  append(agents: readonly AgentRecord[]): Promise<void> {
    return this.lane.in_turn(async () => {
      await in_directory(dirname(this.path), async (at, directory) => {
        const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
        const file = await open(at(basename(this.path)), flags, 0o600);
        try {
          const { size } = await file.stat();
          if (size !== this.known.size) {
            await this.read_index(file);
            // Cut short by a crash, or by a full disk: its agent has not left the registry.
            if (size > this.known.size) await file.truncate(this.known.size);
          }
          const fresh = agents.filter((one) => !this.known.entries.has(one.id));
          const lines = fresh.map((one) => `${line_of(one)}\n`);
          const missing_end = this.known.open_end ? "\n" : "";
          await file.appendFile(missing_end + lines.join(""));
          crash_point("journal.appended");
          // Also when all of them were there, and for the file's name: an earlier call may have written them, and failed to sync.
          await file.sync();
          await directory.sync();
          this.known.end_last_line(missing_end.length);
          for (const [number, agent] of fresh.entries())
            this.known.add(agent, Buffer.byteLength(lines[number] as string) - 1);
        } finally {
          await file.close();
        }
      });
    });
  }

  /** An agent's record, or null. `timeout` when the file system does not answer. */
  read(id: string): Promise<AgentRecord | null> {
    return within(
      this.lane.in_turn(() => this.read_record(id)),
      () => no_answer(this.path, "try again when it does"),
    );
  }

  private async read_record(id: string): Promise<AgentRecord | null> {
    if (!this.known.entries.has(id)) return null;
    const file = await open_in_place(this.path, constants.O_RDONLY).catch(no_file);
    if (!file) return null;
    try {
      const record = await this.record_at(file, id);
      if (record) return record;
      this.warn(`${this.path} was changed by somebody else; it is read anew`);
      await this.read_index(file);
      return await this.record_at(file, id);
    } finally {
      await file.close();
    }
  }

  private async record_at(file: FileHandle, id: string): Promise<AgentRecord | null> {
    const entry = this.known.entries.get(id);
    if (!entry) return null;
    const line = Buffer.alloc(entry.length);
    await file.read(line, 0, entry.length, entry.offset);
    const record = to_record(line.toString());
    return record?.id === id ? record : null;
  }

  /** Forgets agents. The file is written anew when half of it is of forgotten ones; until then a restart finds them again, and forgets them again. */
  forget(ids: readonly string[]): Promise<void> {
    return this.lane.in_turn(async () => {
      this.known.forget(ids);
      const { size } = this.known;
      if (size - this.known.wanted_bytes() < size / 2 || size === 0) return;
      await this.rewrite(ids);
    });
  }

  /** The lines that are wanted, beside; then in its place. A crash leaves the one or the other, and a line that is not where it was the old one. */
  private async rewrite(forgotten: readonly string[]): Promise<void> {
    const name = basename(this.path);
    await in_directory(dirname(this.path), async (at, directory) => {
      const from = await open(at(name), constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        if ((await from.stat()).size !== this.known.size) {
          await this.read_index(from);
          this.known.forget(forgotten);
        }
        await rm(at(`${name}.new`), { force: true });
        const copied = await this.copy(from, at(`${name}.new`));
        crash_point("journal.copied");
        await rename(at(`${name}.new`), at(name));
        crash_point("journal.renamed");
        this.known.moved(copied);
        await directory.sync();
      } catch (error) {
        await rm(at(`${name}.new`), { force: true });
        throw error;
      } finally {
        await from.close();
      }
    });
  }

  private async copy(from: FileHandle, beside: string) {
    const to = await open(beside, "wx", 0o600);
    try {
      const { entries, strange } = this.known;
      const copied = await copy_lines(from, to, [...entries.values()], strange, this.known.head());
      if (!copied) {
        await this.read_index(from);
        throw new Error(
          `${this.path} was changed by somebody else; it is read anew, and left as it is until the next sweep`,
        );
      }
      await to.sync();
      return copied;
    } finally {
      await to.close();
    }
  }

  /** What is known stays as it is when the file cannot be read to its end. */
  private async read_index(file: FileHandle): Promise<void> {
    this.known = await JournalIndex.read(file);
    const { strange_lines } = this.known;
    if (strange_lines > 0)
      this.warn(`${this.path}: ${strange_lines} lines are no receipts; they are left where they are`);
  }
}

/** Without its end. */
const line_of = (agent: AgentRecord) => JSON.stringify(agent);

function no_file(error: unknown): null {
  if (is_errno(error, "ENOENT")) return null;
  throw error;
}
