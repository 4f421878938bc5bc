/** What is told of a whole log beside its lines: its size, how many lines it has, and when its first and last were written. */
import { type Line, limited, lines_backwards, lines_of } from "./lines.ts";
import { first_timestamp, timestamp_of } from "./timestamps.ts";

/** Up to this size the lines of a log are counted: a few tens of milliseconds. In bytes. */
const COUNT_LIMIT_BYTES = 16 * 1024 * 1024;
/** Where a timestamp is looked for, at both ends: a log may be one endless line. In bytes. */
const TIMESTAMP_BYTES = 1024 * 1024;
/** Counted on the way through a whole log. */
export class Facts {
  bytes = 0;
  lines: number | null = 0;
  first: string | null = null;
  last: string | null = null;

  add(line: Line): void {
    this.bytes += line.bytes + (line.whole ? 1 : 0);
    this.lines = (this.lines ?? 0) + 1;
    const at = timestamp_of(line.text);
    this.first ??= at;
    this.last = at ?? this.last;
  }
}

/** Of a log that can be read from both ends: no further than needed. */
export async function facts_of(
  read: (position: number) => AsyncIterable<Buffer>,
  size: number,
  backwards: AsyncIterable<Buffer>,
): Promise<Facts> {
  const facts = new Facts();
  facts.bytes = size;
  facts.lines = size <= COUNT_LIMIT_BYTES ? await count_lines(read(0)) : null;
  facts.first = await first_timestamp(lines_of(limited(read(0), TIMESTAMP_BYTES)));
  facts.last = await first_timestamp(lines_backwards(limited(backwards, TIMESTAMP_BYTES)));
  return facts;
}

async function count_lines(chunks: AsyncIterable<Buffer>): Promise<number> {
  let lines = 0;
  let open = false;
  for await (const chunk of chunks) {
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) lines++;
    open = chunk.at(-1) !== 0x0a;
  }
  return lines + (open ? 1 : 0);
}
