/** What lies below a directory, as the kernel tells it: links are not followed. */
import { lstatSync, readdirSync, readFileSync, type Stats } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export interface Found {
  path: string;
  facts: Stats;
}

/** Everything below `dir`, and itself. What goes away while it is walked is left out. */
export function walk(dir: string): Found[] {
  const here = look(dir);
  if (!here) return [];
  if (!here.facts.isDirectory()) return [here];
  const names = unless_gone(() => readdirSync(dir));
  return names ? [here, ...names.flatMap((name) => walk(join(dir, name)))] : [];
}

function look(path: string): Found | null {
  return unless_gone(() => ({ path, facts: lstatSync(path) }));
}

/** Null for what went away since it was listed: a daemon writes its files anew beside their place. */
function unless_gone<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** The regular files below `dir` that contain one of the texts, packed ones looked into. */
export function files_with(dir: string, texts: readonly string[]): string[] {
  return walk(dir)
    .filter(({ path, facts }) => facts.isFile() && has_one(content(path), texts))
    .map(({ path }) => path);
}

const has_one = (bytes: Buffer | null, texts: readonly string[]) => texts.some((text) => bytes?.includes(text));

function content(path: string): Buffer | null {
  const bytes = unless_gone(() => readFileSync(path));
  return bytes && path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}
