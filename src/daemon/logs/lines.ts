/** Lines out of bytes, forwards or backwards, and the choice among them. */
import { RE2JS } from "re2js";
import { message_of, SupervisorError } from "../../contract/errors.ts";

/** A longer line is cut, and says so: one line must not fill the memory. In bytes. */
export const LINE_LIMIT = 1024 * 1024;

export interface Line {
  text: string;
  /** Its length in the file, in bytes, without its newline. */
  bytes: number;
  /** How many of them are not in `text`. */
  cut: number;
  /** It has its newline: it will not grow. */
  whole: boolean;
}

/** UTF-8 is decoded a line at a time, so that no character is split. */
export function make_line(kept: Buffer, bytes: number, whole: boolean): Line {
  return { text: kept.toString("utf8"), bytes, cut: bytes - kept.length, whole };
}

/** The lines of a stream of bytes; the last one may be half written. `limit`: how many bytes of a line are kept. */
export async function* lines_of(chunks: AsyncIterable<Buffer>, limit = LINE_LIMIT): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = (whole: boolean) => {
    const line = make_line(Buffer.concat(parts), length, whole);
    parts = [];
    length = 0;
    return line;
  };
  const add = (part: Buffer) => {
    const room = limit - length;
    if (room > 0) parts.push(part.subarray(0, room));
    length += part.length;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, from)) {
      add(chunk.subarray(from, at));
      yield take(true);
      from = at + 1;
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (length > 0) yield take(false);
}

/** No more than about this many bytes of a stream: whole blocks, until there are as many. */
export async function* limited(blocks: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let read = 0;
  for await (const block of blocks) {
    yield block;
    read += block.length;
    if (read > bytes) return;
  }
}

/** The lines of a file whose blocks come from its end to its beginning: the last line first. Keeps one line, and no more than the limit of it. */
export async function* lines_backwards(blocks: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let kept = 0;
  let length = 0;
  let whole = false;
  const prepend = (part: Buffer) => {
    if (part.length === 0) return;
    parts.unshift(part);
    kept += part.length;
    length += part.length;
    // What is far behind a line's beginning is what the limit cuts off.
    for (let last = parts.at(-1); last && kept - last.length >= LINE_LIMIT; last = parts.at(-1)) {
      parts.pop();
      kept -= last.length;
    }
  };
  const take = () => {
    const line = make_line(Buffer.concat(parts).subarray(0, LINE_LIMIT), length, whole);
    parts = [];
    kept = 0;
    length = 0;
    return line;
  };
  let read_any = false;
  for await (const block of blocks) {
    let to = block.length;
    for (let at = block.lastIndexOf(0x0a); at >= 0; at = at === 0 ? -1 : block.lastIndexOf(0x0a, at - 1)) {
      prepend(block.subarray(at + 1, to));
      // Behind the newline that ends the file there is no line.
      if (whole || length > 0) yield take();
      whole = true;
      to = at;
    }
    prepend(block.subarray(0, to));
    read_any = true;
  }
  if (read_any && (whole || length > 0)) yield take();
}

/** A filter that answers in linear time whatever the pattern (RE2), or the error that names what is wrong with it. */
export function compile_filter(pattern: string): (line: string) => boolean {
  try {
    const compiled = RE2JS.compile(pattern);
    return (line) => compiled.matcher(line).find();
  } catch (error) {
    throw new SupervisorError(
      "invalid_request",
      `'${pattern}' is not a regular expression (RE2 syntax): ${message_of(error)}`,
    );
  }
}

/** Keeps the last `count` of what comes. */
export async function* last_of<T>(items: AsyncIterable<T>, count: number): AsyncGenerator<T> {
  const kept: T[] = [];
  for await (const item of items) {
    kept.push(item);
    // In one go now and then: taking the first of a long array away costs its whole length.
    if (kept.length >= 2 * count + 64) kept.splice(0, kept.length - count);
  }
  yield* count > 0 ? kept.slice(-count) : [];
}
