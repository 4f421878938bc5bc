/** What is shown of a line: as it is, as JSON, or as a person reads it; whole or shortened. */
import type { LogFormat } from "../../contract/operations/output.ts";
import { type Entry, is_object, labelled } from "./families/entry.ts";
import { read_event } from "./families/families.ts";
import type { Line } from "./lines.ts";

export interface FormatOptions {
  format: LogFormat;
  /** Long lines and blocks are shortened. */
  compact?: boolean;
  /** Nothing more will come: a half-written last line is then all there is of it, and is shown. Asked at each such line. */
  ended: () => boolean;
}

/** A piece of what is shown. `joins`: it goes on where the last piece, which joined too, stopped, without a new line. */
export interface Shown {
  text: string;
  joins: string | null;
}

/** How much of a block stays when it is shortened: enough to know what it was, in lines and characters. */
const COMPACT_LINES = 5;
const COMPACT_CHARACTERS = 400;
/** How much of a line is shown that is too long to be read as JSON, in characters. */
const CUT_SHOWN = 2000;

/** What is shown of a line; null for nothing: an event that says nothing to a person, or half an event whose rest will come. */
export function show_line(line: Line, options: FormatOptions): Shown | null {
  const { format, compact } = options;
  const plain = (text: string): Shown => ({ text: compact ? shorten(text) : text, joins: null });
  const cut_note = line.cut > 0 ? ` [${line.cut} bytes more]` : "";
  if (format === "text") return plain(line.text + cut_note);
  const text = line.text.endsWith("\r") ? line.text.slice(0, -1) : line.text;
  const value = line.cut > 0 ? undefined : parse_json(text);
  if (value === undefined && !line.whole && looks_like_json(text)) {
    if (!options.ended()) return null;
    return format === "jsonl" ? json({ type: "partial", text }, compact) : plain(`[PARTIAL] ${text}`);
  }
  if (format === "jsonl")
    return value === undefined
      ? json({ type: "text", text: text + cut_note }, compact)
      : compact
        ? json(value, true)
        : { text, joins: null };
  if (value === undefined)
    return plain(line.cut > 0 && looks_like_json(text) ? text.slice(0, CUT_SHOWN) + cut_note : text + cut_note);
  return show_entries(is_object(value) ? read_event(value).entries : [{ kind: "other", text }], compact);
}

function show_entries(entries: Entry[], compact: boolean | undefined): Shown | null {
  if (entries.length === 0) return null;
  const [only] = entries;
  if (entries.length === 1 && only?.delta) return { text: only.text, joins: labelled({ ...only, text: "" }) };
  return {
    text: entries.map((one) => labelled(compact ? { ...one, text: shorten(one.text) } : one)).join("\n"),
    joins: null,
  };
}

/** Pieces put together into lines of output, each with its newline. Pieces that join are written on as they come. */
export async function* written(pieces: AsyncIterable<Shown>): AsyncGenerator<string> {
  let open: string | null = null;
  for await (const { text, joins } of pieces) {
    if (joins !== null && joins === open) yield text;
    else yield `${open === null ? "" : "\n"}${joins ?? ""}${text}${joins === null ? "\n" : ""}`;
    open = joins;
  }
  if (open !== null) yield "\n";
}

/** The same for a finished list: one string for each line of the log, or run of pieces. */
export function joined(pieces: Shown[]): string[] {
  const lines: string[] = [];
  let open: string | null = null;
  for (const { text, joins } of pieces) {
    if (joins !== null && joins === open) lines[lines.length - 1] += text;
    else lines.push((joins ?? "") + text);
    open = joins;
  }
  return lines;
}

const looks_like_json = (text: string) => /^\s*[[{]/.test(text);

export function parse_json(text: string): unknown {
  if (!looks_like_json(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The beginning of a text that is long, and how much more there is. */
export function shorten(text: string): string {
  const lines = text.split("\n");
  let head = lines.slice(0, COMPACT_LINES).join("\n");
  if (head.length > COMPACT_CHARACTERS) head = head.slice(0, COMPACT_CHARACTERS);
  if (head.length === text.length) return text;
  const more = lines.length - head.split("\n").length;
  return `${head}… [${more > 0 ? `${more} lines, ` : ""}${text.length - head.length} characters more]`;
}

const json = (value: unknown, compact: boolean | undefined): Shown => ({
  text: JSON.stringify(compact ? shorten_strings(value) : value),
  joins: null,
});

/** The same JSON value with its long texts shortened. */
function shorten_strings(value: unknown): unknown {
  if (typeof value === "string") return shorten(value);
  if (Array.isArray(value)) return value.map(shorten_strings);
  if (!is_object(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shorten_strings(one)]));
}
