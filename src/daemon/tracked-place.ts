/** Where a tracked file is: in its place, in the archive, or set aside in trash. */
import { access } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { is_errno } from "../contract/errors.ts";
import { own_trash_dir, trash_dir } from "../contract/paths.ts";
import { archived_path } from "./ending/archive.ts";

export interface TrackedPlace {
  kind: "log" | "archive" | "trash";
  path: string;
}

/** `dir`: the task's directory; `path`: the file's own place. Null when it is in none. */
export async function place_of(dir: string, path: string): Promise<TrackedPlace | null> {
  const name = basename(path);
  const places: TrackedPlace[] = [
    { kind: "log", path },
    { kind: "archive", path: archived_path(dir, path) },
    { kind: "trash", path: join(trash_dir(dir), name) },
    { kind: "trash", path: join(own_trash_dir(dirname(path)), name) },
  ];
  for (const place of places) if (await exists(place.path)) return place;
  return null;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (is_errno(error, "ENOENT")) return false;
    throw error;
  }
}
