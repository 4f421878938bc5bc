/** Lines out of bytes, and what is shown of them: filtered, as JSON, or as a person reads them. */
import { RE2JS } from "re2js";
import { message_of, SupervisorError } from "../../contract/errors.ts";
import type { LogFormat } from "../../contract/operations/output.ts";

/** A longer line is cut, and says so: one line must not fill the memory. In bytes. */
const LINE_LIMIT = 1024 * 1024;

/** The lines of a stream of bytes, without their newline; the last one may be half written. UTF-8 is decoded a line at a time, so nothing is split. */
export async function* lines_of(chunks: AsyncIterable<Buffer>, limit = LINE_LIMIT): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = () => {
    const line = Buffer.concat(parts).toString("utf8");
    const cut = length > limit ? ` [${length - limit} bytes more]` : "";
    parts = [];
    length = 0;
    return line + cut;
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
      yield take();
      from = at + 1;
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (length > 0) yield take();
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
    if (kept.length > count) kept.shift();
  }
  yield* kept;
}

/** One line in the format asked for. */
export function format_line(line: string, format: LogFormat): string {
  if (format === "text") return line;
  const value = parse_json(line);
  if (format === "jsonl") return value === undefined ? JSON.stringify({ type: "text", text: line }) : line;
  return value === undefined ? line : readable(value);
}

function parse_json(line: string): unknown {
  if (!/^\s*[[{]/.test(line)) return undefined;
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

type Json = Record<string, unknown>;
const text_of = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** A stream-json event as a person reads it. Events of unknown shape stay as they are. */
function readable(value: unknown): string {
  const event = value as Json;
  const content = (event.message as Json | undefined)?.content;
  if (Array.isArray(content)) return content.map((part) => readable_part(part as Json)).join("\n");
  if (event.type === "result") return `[RESULT] ${text_of(event.result ?? event)}`;
  if (event.type === "error" || event.error) return `[ERROR] ${text_of(event.error ?? event.message ?? event)}`;
  return JSON.stringify(value);
}

function readable_part(part: Json): string {
  if (part.type === "text") return `[ASST] ${text_of(part.text)}`;
  if (part.type === "tool_use") return `[TOOL] ${text_of(part.name)} ${text_of(part.input)}`;
  if (part.type === "tool_result") return `[RESULT] ${text_of(part.content)}`;
  return JSON.stringify(part);
}
