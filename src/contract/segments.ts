/** The names of a log's full parts. Pure. */
import { basename, dirname, extname, join } from "node:path";

/** A smaller limit would make a file of every few lines. In bytes. */
export const MIN_LOG_MAX_BYTES = 4096;

/** `…_stream.jsonl` → `…_stream.3.jsonl`. Parts are numbered from 1, the oldest; the newest has the log's own name. */
export function segment_path(path: string, number: number): string {
  const ending = extname(path);
  return join(dirname(path), `${basename(path, ending)}.${number}${ending}`);
}

/** The number in a part's file name, or null when `name` is no part of the log at `path`. */
export function segment_number(path: string, name: string): number | null {
  const ending = extname(path);
  const stem = `${basename(path, ending)}.`;
  if (!name.startsWith(stem) || !name.endsWith(ending)) return null;
  const middle = name.slice(stem.length, name.length - ending.length);
  return /^[1-9]\d{0,8}$/.test(middle) ? Number(middle) : null;
}

/** The role of a part in `tracked_files`: `log_file.3`. */
export const segment_role = (role: string, number: number) => `${role}.${number}`;
