/**
 * The receipts journal of one task, `receipts.jsonl`: ended agents that have left the registry, one JSON object a line, in the order in which
 * they left. Appended and synced before the registry forgets the agent; written by the registry alone. No handle is kept between two
 * calls, and of what is in it the memory has an index alone (`Entry`, about 200 bytes an agent).
 *
 * A line that a crash cut short is the last one; it is cut off, because its agent is still in the registry. Lines that are no record stay
 * in the file, with a warning, until it is written anew.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type AgentRecord, agent_record } from "../../contract/agent.ts";
import { is_errno } from "../../contract/errors.ts";
import { in_directory, open_in_place, remove_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { Lane, no_answer, within } from "../patience.ts";
import { type Scanned, scan_lines } from "./scan-lines.ts";

/** What is known of an agent in the journal without reading it. */
export interface Entry {
  id: string;
  status: string;
  /** By the wall clock, in ms; infinite when nobody knows. */
  ended_ms: number;
  /** Where its line is, without its end, in bytes. */
  offset: number;
  length: number;
  /** It may have files in the archive. */
  archived: boolean;
  /** Files of it were left where they are: such an agent never grows too old. */
  kept: boolean;
}

export class Journal {
  private readonly index = new Map<string, Entry>();
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

  get count(): number {
    return this.index.size;
  }

  /** The file's size, in bytes. */
  get bytes(): number {
    return this.size;
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
          if (fresh.length === 0) return;
          const is_new = this.size === 0;
          const lines = fresh.map((one) => `${JSON.stringify(one)}\n`);
          await file.appendFile(lines.join(""));
          await file.sync();
          for (const [number, agent] of fresh.entries()) {
            const length = Buffer.byteLength(lines[number] as string) - 1;
            this.index.set(agent.id, entry_of(agent, this.size, length));
            this.size += length + 1;
          }
          if (is_new) await directory.sync();
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
    const record = parse(line.toString());
    return record?.id === id ? record : null;
  }

  /** Forgets agents. The file is written anew when half of it is of forgotten ones; until then a restart finds them again, and forgets them again. */
  forget(ids: readonly string[]): Promise<void> {
    return this.lane.in_turn(async () => {
      for (const id of ids) this.index.delete(id);
      const wanted = [...this.index.values()].reduce((sum, one) => sum + one.length + 1, 0);
      if (this.size - wanted < this.size / 2 || this.size === 0) return;
      await this.rewrite();
    });
  }

  /** The lines that are wanted, beside; then in its place. A crash leaves the one or the other. */
  private async rewrite(): Promise<void> {
    const name = basename(this.path);
    await in_directory(dirname(this.path), async (at, directory) => {
      const kept: Entry[] = [];
      let size = 0;
      const from = await open(at(name), constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        await rm(at(`${name}.new`), { force: true });
        const to = await open(at(`${name}.new`), "wx", 0o600);
        try {
          for (const entry of this.index.values()) {
            const line = Buffer.alloc(entry.length + 1);
            await from.read(line, 0, line.length, entry.offset);
            await to.appendFile(line);
            kept.push({ ...entry, offset: size });
            size += line.length;
          }
          await to.sync();
        } finally {
          await to.close();
        }
      } finally {
        await from.close();
      }
      crash_point("journal.copied");
      await rename(at(`${name}.new`), at(name));
      await directory.sync();
      this.size = size;
      for (const entry of kept) this.index.set(entry.id, entry);
    });
  }

  private async read_index(file: FileHandle): Promise<void> {
    this.index.clear();
    let unreadable = 0;
    this.size = await scan_lines(file, ({ text, offset, length }: Scanned) => {
      const agent = parse(text);
      if (agent) this.index.set(agent.id, entry_of(agent, offset, length));
      else unreadable += 1;
    });
    if (unreadable > 0) this.warn(`${this.path}: ${unreadable} lines are no receipts; they are left where they are`);
  }
}

function entry_of({ id, status, receipt, ended_at }: AgentRecord, offset: number, length: number): Entry {
  const cleanup = receipt?.cleanup;
  return {
    id,
    status,
    ended_ms: time_of(ended_at ?? receipt?.ended_at),
    offset,
    length,
    archived: (cleanup?.files_archived.length ?? 0) > 0,
    kept: (cleanup?.files_kept.length ?? 0) > 0 || (cleanup?.files_failed.length ?? 0) > 0,
  };
}

/** What has no time is of the future: it does not grow old. */
function time_of(text: string | undefined): number {
  const ms = Date.parse(text ?? "");
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms;
}

function parse(line: string): AgentRecord | null {
  try {
    const parsed = agent_record.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function no_file(error: unknown): null {
  if (is_errno(error, "ENOENT")) return null;
  throw error;
}
