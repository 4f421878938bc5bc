/** The regular files of a folder of ours, with what the sweeper needs to know of them. A folder that leads elsewhere has none. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { is_errno } from "../../contract/errors.ts";
import { in_directory, is_out_of_place, what_stands_at } from "../../drivers/in-place.ts";

export interface ListedFile {
  name: string;
  path: string;
  bytes: number;
  mtime_ms: number;
  /** A plain file with one name, of this user: what the supervisor makes. */
  plain: boolean;
}

export async function list_files(dir: string): Promise<ListedFile[]> {
  try {
    return await in_directory(dir, async (at) => {
      const files: ListedFile[] = [];
      for (const name of await readdir(at("."))) {
        const facts = await what_stands_at(at(name));
        // It may be gone since the folder was read.
        if (!facts || facts.isDirectory()) continue;
        const plain = facts.isFile() && facts.nlink === 1 && facts.uid === process.getuid?.();
        files.push({ name, path: join(dir, name), bytes: facts.size, mtime_ms: facts.mtimeMs, plain });
      }
      return files;
    });
  } catch (error) {
    if (is_errno(error, "ENOENT") || is_out_of_place(error)) return [];
    throw error;
  }
}
