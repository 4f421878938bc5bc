/** The lines of a receipts journal: what is known of each, and how those that stay are copied. */
import type { FileHandle } from "node:fs/promises";
import { z } from "zod";
import { type AgentRecord, agent_record } from "../../contract/agent.ts";
import { type Counted, counted, type Sums, sums } from "./sums.ts";

const BLOCK_BYTES = 256 * 1024;

/** Where a line is, or several, without the last one's end, in bytes. */
export interface Span {
  offset: number;
  length: number;
}

/** What is known of an agent in the journal without reading it. */
export interface Entry extends Span, Counted {
  id: string;
  /** Who deployed it: its own children may live on. */
  parent: string;
  /** By the wall clock, in ms; infinite when nobody knows. */
  ended_ms: number;
  /** It may have files in the archive. */
  archived: boolean;
  /** Files of it were left where they are: such an agent never grows too old. */
  kept: boolean;
}

export function entry_of(agent: AgentRecord, offset: number, length: number): Entry {
  const { id, parent, receipt, ended_at } = agent;
  const cleanup = receipt?.cleanup;
  const { status, result, bytes_logged, bytes_freed } = counted(agent);
  // Each by its name: V8 keeps a spread object and what is added to it in two places, at twice the size.
  return {
    id,
    parent: shared(parent),
    status: shared(status),
    result,
    bytes_logged: small(bytes_logged),
    bytes_freed: small(bytes_freed),
    ended_ms: time_of(ended_at ?? receipt?.ended_at),
    offset,
    length,
    archived: (cleanup?.files_archived.length ?? 0) > 0,
    kept: (cleanup?.files_kept.length ?? 0) > 0 || (cleanup?.files_failed.length ?? 0) > 0,
  };
}

/** The same number. One that was computed from a file's size is kept by V8 in a box of 16 bytes, although it is whole and small; the result of `|` is not. */
const small = (value: number): number => (value === (value | 0) ? value | 0 : value);

/** How many different texts are shared; then it begins anew. */
const SHARED = 1_000;
const texts = new Map<string, string>();

/** The same text, kept once: each record that is read brings its own copy of a word that thousands have. */
function shared(text: string): string {
  const known = texts.get(text);
  if (known !== undefined) return known;
  if (texts.size === SHARED) texts.clear();
  texts.set(text, text);
  return text;
}

/** What has no time is of the future: it does not grow old. */
function time_of(text: string | undefined): number {
  const ms = Date.parse(text ?? "");
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms;
}

/** The record that a line is, or null. */
export const to_record = (line: string): AgentRecord | null => parse(agent_record, line);

const sums_line = z.strictObject({ forgotten: sums });
/** What the agents add up to that are not in the journal any more, if the line says that, or null. */
export const to_sums = (line: string): Sums | null => parse(sums_line, line)?.forgotten ?? null;
/** Such a line, with its end. */
export const line_of_sums = (forgotten: Sums): string => `${JSON.stringify({ forgotten })}\n`;

function parse<T>(schema: z.ZodType<T>, line: string): T | null {
  try {
    const parsed = schema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * True for what a write of ours that came to no end leaves: nothing, the beginning of a record (of JSON no beginning is JSON), or room that the file
 * system gave and never filled.
 */
export function is_cut_short(tail: string): boolean {
  return /^\0*$/.test(tail) || ((tail.startsWith('{"') || tail === "{") && !is_json(tail));
}

function is_json(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** Where the lines are in the copy, and the copy's size in bytes. */
export interface Copied {
  entries: Entry[];
  strange: Span[];
  size: number;
}

/**
 * Copies lines in the order of the file, each with an end: of agents, and such as are no records. `head` goes before them. Null when one is not
 * where it should be, or an entry's is not of its agent; the copy is then worth nothing.
 */
export async function copy_lines(
  from: FileHandle,
  to: FileHandle,
  entries: readonly Entry[],
  strange: readonly Span[],
  head: string,
): Promise<Copied | null> {
  const copied: Copied = { entries: [], strange: [], size: Buffer.byteLength(head) };
  await to.appendFile(head);
  const lines = [
    ...entries.map((entry) => ({ entry, span: entry })),
    ...strange.map((span) => ({ entry: null, span })),
  ];
  for (const { entry, span } of lines.sort((a, b) => a.span.offset - b.span.offset)) {
    const whole = entry ? await copy_entry(from, to, entry) : await copy_span(from, to, span);
    if (!whole) return null;
    await to.appendFile("\n");
    if (entry) copied.entries.push({ ...entry, offset: copied.size });
    else copied.strange.push({ ...span, offset: copied.size });
    copied.size += span.length + 1;
  }
  return copied;
}

async function copy_entry(from: FileHandle, to: FileHandle, { id, offset, length }: Entry): Promise<boolean> {
  const line = Buffer.alloc(length);
  const { bytesRead } = await from.read(line, 0, length, offset);
  if (bytesRead !== length || to_record(line.toString())?.id !== id) return false;
  await to.appendFile(line);
  return true;
}

async function copy_span(from: FileHandle, to: FileHandle, { offset, length }: Span): Promise<boolean> {
  const block = Buffer.alloc(Math.min(length, BLOCK_BYTES));
  for (let done = 0; done < length; ) {
    const { bytesRead } = await from.read(block, 0, Math.min(block.length, length - done), offset + done);
    if (bytesRead === 0) return false;
    await to.appendFile(block.subarray(0, bytesRead));
    done += bytesRead;
  }
  return true;
}
