/** Finds, reads and merges the config files. Read once, when the daemon starts: a change takes effect at the next start. */
import "../../contract/plain-words.ts";
import { lstat, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ConfigPlace, type SupervisorConfig, supervisor_config } from "../../contract/config.ts";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import { parse_config } from "./parse.ts";

const ENDINGS = ["json", "yaml", "yml"];
/** A config is written by hand; a file longer than this is something else. In bytes. */
const SIZE_LIMIT = 1024 * 1024;

export interface LoadedConfig {
  config: SupervisorConfig;
  /** What each file said, the weightiest first. */
  files: { path: string; value: Record<string, unknown> }[];
}

/** The config of all places together, the first place weightiest, key by key. Throws `config_invalid`, before anything is made. */
export async function load_config(places: ConfigPlace[]): Promise<LoadedConfig> {
  const files: LoadedConfig["files"] = [];
  for (const place of places) {
    const path = await find_file(place);
    if (path) files.push({ path, value: parse_config(path, await read(path)) });
  }
  const merged = files.reduceRight<Record<string, unknown>>((under, { value }) => merge(under, value), {});
  const checked = supervisor_config.safeParse(merged);
  if (!checked.success) {
    const [first] = checked.error.issues;
    throw new SupervisorError(
      "config_invalid",
      `${files.map((one) => one.path).join(" and ")}, taken together: ${first?.path.join(".")}: ${first?.message}`,
    );
  }
  return { config: checked.data, files };
}

async function find_file({ dir, name }: ConfigPlace): Promise<string | null> {
  const found: string[] = [];
  for (const ending of ENDINGS) {
    const path = join(dir, `${name}.${ending}`);
    const there = await lstat(path).catch((error) => {
      if (is_errno(error, "ENOENT", "ENOTDIR")) return null;
      throw new SupervisorError("config_invalid", `${path} cannot be read: ${message_of(error)}`);
    });
    if (there) found.push(path);
  }
  if (found.length > 1)
    throw new SupervisorError("config_invalid", `${found.join(" and ")}: there are several; keep one of them`);
  return found[0] ?? null;
}

async function read(path: string): Promise<string> {
  try {
    const [file, dir] = await Promise.all([stat(path), stat(join(path, ".."))]);
    if (!file.isFile()) throw new Error("it is not a file");
    if (file.size > SIZE_LIMIT) throw new Error(`it is longer than ${SIZE_LIMIT} bytes`);
    // It names programs to run. In a directory where anybody may make files (/tmp), one of a stranger must not count.
    if (![process.getuid?.(), 0, dir.uid].includes(file.uid))
      throw new Error("it belongs to another user than you and the directory it is in");
    return await readFile(path, "utf8");
  } catch (error) {
    throw new SupervisorError("config_invalid", `${path} cannot be used: ${message_of(error)}`);
  }
}

/** Objects are merged key by key; anything else of `over` replaces what is under it. */
export function merge(under: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = is_map(below) && is_map(value) ? merge(below, value) : value;
  }
  return merged;
}

const is_map = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
