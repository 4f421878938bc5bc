/** Reads a registry file and says what it is, without touching it: what becomes of a file that cannot be used is the store's choice. */
import { constants } from "node:fs";
import { REGISTRY_VERSION, type RegistryFile, registry_file } from "../../contract/agent.ts";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import { open_in_place } from "../../drivers/in-place.ts";

/** What a file was when it was read or written: another one, or a change, shows in one of the three (nanoseconds, bytes). */
export interface FileMark {
  ino: bigint;
  mtime: bigint;
  size: bigint;
}

export type Reading =
  | { kind: "good"; data: RegistryFile; text: string; mark: FileMark }
  | { kind: "missing" }
  /** Empty, cut short, not JSON, or JSON of another shape: somebody's mishap, to be set aside. */
  | { kind: "broken"; reason: string }
  /** Not ours to judge or to change: of a newer version, or it cannot be read. */
  | { kind: "off_limits"; reason: string };

/** Reads one registry file, in its place: a link leads nowhere. Never rejects for what the file is. */
export async function read_registry(path: string): Promise<Reading> {
  let text: string;
  let mark: FileMark;
  try {
    const handle = await open_in_place(path, constants.O_RDONLY);
    try {
      const facts = await handle.stat({ bigint: true });
      mark = { ino: facts.ino, mtime: facts.mtimeNs, size: facts.size };
      text = await handle.readFile("utf8");
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (is_errno(error, "ENOENT")) return { kind: "missing" };
    if (error instanceof SupervisorError) return { kind: "off_limits", reason: error.message };
    return { kind: "off_limits", reason: `${path} cannot be read: ${message_of(error)}; it is left alone` };
  }
  return judge(path, text, mark);
}

/** Pure: what a text is as a registry. */
function judge(path: string, text: string, mark: FileMark): Reading {
  if (text.trim() === "") return { kind: "broken", reason: `${path} is empty` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { kind: "broken", reason: `${path} is not JSON: ${message_of(error)}` };
  }
  // The version is asked first: of a newer file nothing else need look as we know it.
  const version = (value as { registry_version?: unknown } | null)?.registry_version;
  if (typeof version === "number" && version > REGISTRY_VERSION) {
    return {
      kind: "off_limits",
      reason: `${path} was written by a newer supervisor (version ${version}); it is left alone`,
    };
  }
  const parsed = registry_file.safeParse(value);
  if (parsed.success) return { kind: "good", data: parsed.data, text, mark };
  const [issue] = parsed.error.issues;
  const where = issue?.path.join(".");
  return { kind: "broken", reason: `${path} is not a registry: ${where ? `${where}: ` : ""}${issue?.message}` };
}
