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
  return [here, ...readdirSync(dir).flatMap((name) => walk(join(dir, name)))];
}

function look(path: string): Found | null {
  try {
    return { path, facts: lstatSync(path) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** The regular files below `dir` that contain one of the texts, packed ones looked into. */
export function files_with(dir: string, texts: readonly string[]): string[] {
  return walk(dir)
    .filter(({ path, facts }) => facts.isFile() && texts.some((text) => content(path).includes(text)))
    .map(({ path }) => path);
}

function content(path: string): Buffer {
  const bytes = readFileSync(path);
  return path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}
