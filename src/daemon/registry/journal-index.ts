/**
 * What is known of a receipts journal without reading it: whose lines are where (`Entry`, about 200 bytes an agent), which lines are no records, and what
 * all who ever left add up to. Read from the file as a whole, and kept with each change of it.
 */
import type { FileHandle } from "node:fs/promises";
import type { AgentRecord } from "../../contract/agent.ts";
import {
  type Copied,
  type Entry,
  entry_of,
  is_cut_short,
  line_of_sums,
  type Span,
  to_record,
  to_sums,
} from "./journal-lines.ts";
import { type Scanned, scan_lines } from "./scan-lines.ts";
import { add_agent, add_sums, no_sums } from "./sums.ts";

export class JournalIndex {
  /** In the file's order, which is that in which they left. */
  entries = new Map<string, Entry>();
  /** Where lines are that are no record; neighbours are one span. */
  strange: Span[] = [];
  strange_lines = 0;
  /** Of everybody who ever left, forgotten or not. */
  readonly all = no_sums();
  /** The last line is not ours to cut off and has no end: a whole record, or no record at all. */
  open_end = false;
  /** The file's size as we left it; another one means that somebody, or a write that failed, changed it. */
  size = 0;

  /** Of a file, read to its end. What a crash cut short is not counted: the file is longer than `size` then. */
  static async read(file: FileHandle): Promise<JournalIndex> {
    const index = new JournalIndex();
    const tail = await scan_lines(file, (line) => {
      if (!index.take(line)) index.take_strange(line);
    });
    const whole = index.take(tail);
    const stays = whole || !is_cut_short(tail.text);
    if (stays && !whole) index.take_strange(tail);
    for (const entry of index.entries.values()) add_agent(index.all, entry);
    index.open_end = stays;
    index.size = tail.offset + (stays ? tail.length : 0);
    return index;
  }

  /** The last line has an end now, for which so much was written. */
  end_last_line(length: number): void {
    this.size += length;
    this.open_end = false;
  }

  /** A line of an agent was written after the last one; its length is without its end. */
  add(agent: AgentRecord, length: number): void {
    const entry = entry_of(agent, this.size, length);
    this.entries.set(agent.id, entry);
    add_agent(this.all, entry);
    this.size += length + 1;
  }

  /** Their lines are not wanted any more. They go on counting. */
  forget(ids: readonly string[]): void {
    for (const id of ids) this.entries.delete(id);
  }

  /** How large the file would be without the lines that nobody wants, in bytes. */
  wanted_bytes(): number {
    const lines = [...this.entries.values(), ...this.strange].reduce((sum, one) => sum + one.length + 1, 0);
    return lines + Buffer.byteLength(this.head());
  }

  /** The first line of a journal from which somebody was forgotten: what the forgotten add up to. */
  head(): string {
    const forgotten = structuredClone(this.all);
    for (const one of this.entries.values()) add_agent(forgotten, one, -1);
    const { by_status } = forgotten;
    for (const status of Object.keys(by_status)) if (by_status[status] === 0) delete by_status[status];
    return Object.keys(by_status).length > 0 ? line_of_sums(forgotten) : "";
  }

  /** The file was written anew. */
  moved(copied: Copied): void {
    this.entries = new Map(copied.entries.map((one) => [one.id, one]));
    this.strange = copied.strange;
    this.size = copied.size;
    this.open_end = false;
  }

  /** False for a line that is neither a record nor sums. */
  private take({ text, offset, length }: Scanned): boolean {
    const agent = to_record(text);
    if (agent) this.entries.set(agent.id, entry_of(agent, offset, length));
    const forgotten = agent ? null : to_sums(text);
    if (forgotten) add_sums(this.all, forgotten);
    return agent !== null || forgotten !== null;
  }

  private take_strange({ offset, length }: Span): void {
    this.strange_lines += 1;
    const last = this.strange.at(-1);
    if (last && last.offset + last.length + 1 === offset) last.length += length + 1;
    else this.strange.push({ offset, length });
  }
}
