/** What an event of an agent's stream says to a person. Each family of agents has a reader that turns its events into entries. */

export type Json = Record<string, unknown>;

export type EntryKind =
  | "system"
  | "user"
  | "assistant"
  | "thinking"
  | "tool"
  | "tool_result"
  | "result"
  | "error"
  | "text"
  | "other"
  | "partial";

export interface Entry {
  kind: EntryKind;
  text: string;
  /** A tool, or the whole work, did not succeed. */
  failed?: boolean;
  /** A piece of a text that goes on in the next event. */
  delta?: boolean;
  /** The tool's name, where one is called. */
  tool?: string;
}

/** Reads one event. Null: it is not this family's, or of a kind that is not known; an empty list: it says nothing to a person. */
export interface Family {
  name: string;
  read(event: Json): Entry[] | null;
  /** The session that the event belongs to, by which the agent's program can be resumed. */
  session(event: Json): string | null;
}

const LABELS: Record<EntryKind, string> = {
  system: "[SYSTEM] ",
  user: "[USER] ",
  assistant: "[ASST] ",
  thinking: "[THINK] ",
  tool: "[TOOL] ",
  tool_result: "[RESULT] ",
  result: "[RESULT] ",
  error: "[ERROR] ",
  partial: "[PARTIAL] ",
  text: "",
  other: "",
};

export const labelled = (entry: Entry): string => LABELS[entry.failed ? "error" : entry.kind] + entry.text;

export const is_object = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const string_of = (value: unknown): string | null => (typeof value === "string" ? value : null);
/** Text stays; anything else is shown as JSON; nothing is the empty text. */
export const text_of = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);

/** The argument of a tool that a person looks for first, in this order. */
const TELLING = ["command", "file_path", "filePath", "path", "pattern", "query", "url", "prompt", "description"];

/** A tool's call: its name, what it is mostly about, and whatever else it was given. */
export function tool_call(name: string, input: unknown): Entry {
  if (!is_object(input)) return { kind: "tool", tool: name, text: `${name} ${text_of(input)}`.trimEnd() };
  const telling = TELLING.find((key) => typeof input[key] === "string");
  // A command's description repeats it in other words.
  const rest = Object.entries(input).filter(([key]) => key !== telling && !(telling && key === "description"));
  const words = [name, ...(telling ? [input[telling] as string] : [])];
  if (rest.length > 0) words.push(JSON.stringify(Object.fromEntries(rest)));
  return { kind: "tool", tool: name, text: words.join(" ") };
}

/** What a tool gave in blocks: the text of those that are text, and of the others whatever says what they are. */
export const text_of_blocks = (blocks: readonly Json[], other: (block: Json) => string): string =>
  blocks.map((one) => (one?.type === "text" ? text_of(one.text) : other(one))).join("\n");

/** An error in a field: an object with a message, or the message alone. */
export const error_text = (error: unknown): string => text_of(is_object(error) ? error.message : error);

/** Facts of a result in parentheses: those that are there. */
export function facts(...parts: (string | null | false | undefined)[]): string {
  const known = parts.filter(Boolean);
  return known.length > 0 ? ` (${known.join(", ")})` : "";
}

export const seconds = (ms: unknown) => typeof ms === "number" && `${Math.round(ms / 100) / 10} s`;
export const dollars = (usd: unknown) => typeof usd === "number" && usd > 0 && `$${usd.toFixed(4)}`;
export const tokens = (input: unknown, output: unknown) =>
  typeof input === "number" && typeof output === "number" && `${input} tokens in, ${output} out`;
