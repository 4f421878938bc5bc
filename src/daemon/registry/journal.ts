/**
 * The receipts journal of one task, `receipts.jsonl`: ended agents that have left the registry, one JSON object a line, in the order in which
 * they left. Appended and synced before the registry forgets the agent; written by the registry alone. No handle is kept between two
 * calls, and of what is in it the memory has an index alone (`Entry`, about 200 bytes an agent).
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
import {
  copy_lines,
  type Entry,
  entry_of,
  is_cut_short,
  line_of_sums,
  type Span,
  to_record,
  to_sums,
} from "./journal-lines.ts";
import { type Scanned, scan_lines } from "./scan-lines.ts";
import { add_agent, add_sums, no_sums, type Sums } from "./sums.ts";

export class Journal {
  private index = new Map<string, Entry>();
  /** Where lines are that are no record; neighbours are one span. */
  private strange: Span[] = [];
  private strange_lines = 0;
  /** Of everybody who ever left, forgotten or not. */
  private all = no_sums();
  /** The last line is not ours to cut off and has no end: a whole record, or no record at all. */
  private open_end = false;
  /** The file's size as we left it; another one means that somebody, or a write that failed, changed it. */
  private size = 0;
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
    return this.index.values();
  }

  get(id: string): Entry | undefined {
    return this.index.get(id);
  }

  /** The entry that an agent would get if it left now: with its length, and no place. */
  entry_to_be(agent: AgentRecord): Entry {
    return entry_of(agent, this.size, Buffer.byteLength(line_of(agent)));
  }

  get count(): number {
    return this.index.size;
  }

  /** What all who ever left add up to, also those that are forgotten. */
  get sums(): Readonly<Sums> {
    return this.all;
  }

  /** How many lines are no record: whose they were nobody can tell. */
  get unreadable(): number {
    return this.strange_lines;
  }

  /** The file's size, in bytes. */
  get bytes(): number {
    return this.size;
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
          if (size !== this.size) {
            await this.read_index(file);
            // Cut short by a crash, or by a full disk: its agent has not left the registry.
            if (size > this.size) await file.truncate(this.size);
          }
          const fresh = agents.filter((one) => !this.index.has(one.id));
          const lines = fresh.map((one) => `${line_of(one)}\n`);
          const missing_end = this.open_end ? "\n" : "";
          await file.appendFile(missing_end + lines.join(""));
          crash_point("journal.appended");
          // Also when all of them were there, and for the file's name: an earlier call may have written them, and failed to sync.
          await file.sync();
          await directory.sync();
          this.size += missing_end.length;
          this.open_end = false;
          for (const [number, agent] of fresh.entries()) {
            const length = Buffer.byteLength(lines[number] as string) - 1;
            const entry = entry_of(agent, this.size, length);
            this.index.set(agent.id, entry);
            add_agent(this.all, entry);
            this.size += length + 1;
          }
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
    if (!this.index.has(id)) return null;
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
    const entry = this.index.get(id);
    if (!entry) return null;
    const line = Buffer.alloc(entry.length);
    await file.read(line, 0, entry.length, entry.offset);
    const record = to_record(line.toString());
    return record?.id === id ? record : null;
  }

  /** Forgets agents. The file is written anew when half of it is of forgotten ones; until then a restart finds them again, and forgets them again. */
  forget(ids: readonly string[]): Promise<void> {
    return this.lane.in_turn(async () => {
      for (const id of ids) this.index.delete(id);
      const lines = [...this.index.values(), ...this.strange].reduce((sum, one) => sum + one.length + 1, 0);
      const wanted = lines + Buffer.byteLength(this.head());
      if (this.size - wanted < this.size / 2 || this.size === 0) return;
      await this.rewrite(ids);
    });
  }

  /** The first line of a journal from which somebody was forgotten: what the forgotten add up to. */
  private head(): string {
    const forgotten = structuredClone(this.all);
    for (const one of this.index.values()) add_agent(forgotten, one, -1);
    const { by_status } = forgotten;
    for (const status of Object.keys(by_status)) if (by_status[status] === 0) delete by_status[status];
    return Object.keys(by_status).length > 0 ? line_of_sums(forgotten) : "";
  }

  /** The lines that are wanted, beside; then in its place. A crash leaves the one or the other, and a line that is not where it was the old one. */
  private async rewrite(forgotten: readonly string[]): Promise<void> {
    const name = basename(this.path);
    await in_directory(dirname(this.path), async (at, directory) => {
      const from = await open(at(name), constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        if ((await from.stat()).size !== this.size) {
          await this.read_index(from);
          for (const id of forgotten) this.index.delete(id);
        }
        await rm(at(`${name}.new`), { force: true });
        const copied = await this.copy(from, at(`${name}.new`));
        crash_point("journal.copied");
        await rename(at(`${name}.new`), at(name));
        crash_point("journal.renamed");
        // In the file's order: `entries` is the order in which they left.
        this.index = new Map(copied.entries.map((one) => [one.id, one]));
        this.strange = copied.strange;
        this.size = copied.size;
        this.open_end = false;
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
      const copied = await copy_lines(from, to, [...this.index.values()], this.strange, this.head());
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
    const index = new Map<string, Entry>();
    const all = no_sums();
    const strange: Span[] = [];
    let strange_lines = 0;
    /** False for a line that is neither a record nor sums. */
    const take = ({ text, offset, length }: Scanned): boolean => {
      const agent = to_record(text);
      if (agent) index.set(agent.id, entry_of(agent, offset, length));
      const forgotten = agent ? null : to_sums(text);
      if (forgotten) add_sums(all, forgotten);
      return agent !== null || forgotten !== null;
    };
    const take_strange = ({ offset, length }: Span) => {
      strange_lines += 1;
      const last = strange.at(-1);
      if (last && last.offset + last.length + 1 === offset) last.length += length + 1;
      else strange.push({ offset, length });
    };
    const tail = await scan_lines(file, (line) => {
      if (!take(line)) take_strange(line);
    });
    const whole = take(tail);
    const stays = whole || !is_cut_short(tail.text);
    if (stays && !whole) take_strange(tail);
    for (const entry of index.values()) add_agent(all, entry);
    this.index = index;
    this.all = all;
    this.strange = strange;
    this.strange_lines = strange_lines;
    this.open_end = stays;
    this.size = tail.offset + (stays ? tail.length : 0);
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
