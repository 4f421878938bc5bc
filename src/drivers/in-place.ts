/**
 * Files of the workspace, reached without following a link. A path is a promise that anybody with the owner's rights can break between two
 * system calls; so the directory is opened first, the kernel is asked where that directory really is (the link /proc/self/fd/N, proc_pid_fd(5)),
 * and the file is then named relative to the open directory, with O_NOFOLLOW. What leads elsewhere is `out_of_place` and is left alone.
 * Run by the daemon and by each host. Paths are absolute and real: the workspace's path is made so once, when the daemon starts.
 */
import { type BigIntStats, constants, readlinkSync, type Stats } from "node:fs";
import { type FileHandle, link, lstat, open, rename, unlink } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { is_errno, SupervisorError } from "../contract/errors.ts";

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** A pipe or a device in a file's place must not hold anybody up (open(2), O_NONBLOCK); a regular file does not know it. */
const FILE = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Names inside an open directory: they lead there whatever is done to the directory's path meanwhile. */
export type At = (name: string) => string;

function out_of_place(path: string): SupervisorError {
  return new SupervisorError(
    "out_of_place",
    `${path} is not the file or directory it was (it is a link, or leads to another place); it was left alone`,
  );
}

/** True for the error of a path that leads elsewhere. */
export const is_out_of_place = (error: unknown): boolean =>
  error instanceof SupervisorError && error.code === "out_of_place";

/** Does `work` inside a directory that is exactly where its path says. Rejects with the system's error when there is none (ENOENT). */
export async function in_directory<T>(dir: string, work: (at: At, handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(dir, DIRECTORY).catch((error) => {
    throw is_errno(error, "ELOOP", "ENOTDIR") ? out_of_place(dir) : error;
  });
  try {
    const here = `/proc/self/fd/${handle.fd}`;
    // The kernel says it from memory, whatever the file system does: no turn of the pool.
    if (readlinkSync(here) !== dir) throw out_of_place(dir);
    return await work((name) => `${here}/${name}`, handle);
  } catch (error) {
    throw named(error, `/proc/self/fd/${handle.fd}`, dir);
  } finally {
    await handle.close();
  }
}

/** A system error names the path that it was given; whoever reads it knows the directory by its own name. */
function named(error: unknown, here: string, dir: string): unknown {
  if (!(error instanceof Error)) return error;
  const { path } = error as NodeJS.ErrnoException;
  if (path?.startsWith(here)) {
    error.message = error.message.replaceAll(here, dir);
    (error as NodeJS.ErrnoException).path = path.replace(here, dir);
  }
  return error;
}

/** What stands at a path itself, not what a link there leads to; null when nothing does. */
export async function what_stands_at(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}

/** Opens a regular file in its place. `flags` as for open(2). Rejects with `out_of_place`, or with the system's error. */
export function open_in_place(path: string, flags: number, mode?: number): Promise<FileHandle> {
  return in_directory(dirname(path), async (at) => {
    const file = await open(at(basename(path)), flags | FILE, mode).catch((error) => {
      // ENXIO: a pipe that nobody reads.
      throw is_errno(error, "ELOOP", "ENXIO") ? out_of_place(path) : error;
    });
    try {
      if ((await file.stat()).isFile()) return file;
      throw out_of_place(path);
    } catch (error) {
      await file.close();
      throw error;
    }
  });
}

/** The whole text of a file in its place. */
export async function read_in_place(path: string): Promise<string> {
  const file = await open_in_place(path, constants.O_RDONLY);
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/**
 * Replaces a file's content durably and all at once, mode 0600: written beside, synced, renamed, and the directory synced. A link in its place is
 * replaced, never followed. `keep` is a name beside it under which the content before stays. The new content is on the disk before either name
 * changes, so that a disk that is full changes nothing. `before` is called just before the new one takes the file's place; what it throws ends
 * the matter. Gives the new file's facts.
 */
export function replace_in_place(
  path: string,
  content: string | Buffer,
  keep?: string,
  before = () => {},
): Promise<BigIntStats> {
  const name = basename(path);
  return in_directory(dirname(path), async (at, directory) => {
    const written = await write_beside(at, name, content, async () => {
      if (keep) await keep_beside(at, name, keep);
      before();
    });
    await directory.sync();
    return written;
  });
}

/** Removes a file from its place; that it is not there is no error. */
export const remove_in_place = (path: string): Promise<void> => remove_some_in_place(dirname(path), [basename(path)]);

/** Removes files of one directory, one after the other; that one is not there, or the directory, is no error. */
export async function remove_some_in_place(dir: string, names: readonly string[]): Promise<void> {
  try {
    await in_directory(dir, async (at) => {
      for (const name of names) await remove(at(name));
    });
  } catch (error) {
    if (!is_errno(error, "ENOENT")) throw error;
  }
}

/** Makes something beside a file. Each file has one writer, so what is there already was left by a crash, or planted: it goes. */
async function make_anew<T>(beside: string, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!is_errno(error, "EEXIST")) throw error;
  }
  await remove(beside);
  return make();
}

async function write_beside(
  at: At,
  name: string,
  content: string | Buffer,
  before_rename = async () => {},
): Promise<BigIntStats> {
  const beside = at(`${name}.new`);
  let written: BigIntStats;
  try {
    const file = await make_anew(beside, () => open(beside, "wx", 0o600));
    try {
      await file.writeFile(content);
      await file.sync();
      written = await file.stat({ bigint: true });
    } finally {
      await file.close();
    }
    await before_rename();
    await rename(beside, at(name));
    return written;
  } catch (error) {
    await remove(beside);
    throw error;
  }
}

/** One turn of the thread pool: `rm` of node:fs looks at what is there first, and a deploy waits for each. */
async function remove(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!is_errno(error, "ENOENT")) throw error;
  }
}

/** Gives the file a second name, under which it stays when another takes the first. What is no regular file is not kept. */
async function keep_beside(at: At, name: string, keep: string): Promise<void> {
  const beside = at(`${keep}.new`);
  try {
    await make_anew(beside, () => link(at(name), beside));
  } catch (error) {
    if (is_errno(error, "ENOENT")) return;
    // File systems without hard links (FAT, some network mounts), and a directory: link(2).
    if (!is_errno(error, "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")) throw error;
    return copy_beside(at, name, keep);
  }
  // A link in the file's place is linked itself: link(2) does not follow.
  if ((await lstat(beside)).isFile()) await rename(beside, at(keep));
  else await remove(beside);
}

async function copy_beside(at: At, name: string, keep: string): Promise<void> {
  let before: FileHandle;
  try {
    before = await open(at(name), constants.O_RDONLY | FILE);
  } catch (error) {
    if (is_errno(error, "ENOENT", "ELOOP")) return;
    throw error;
  }
  try {
    if ((await before.stat()).isFile()) await write_beside(at, keep, await before.readFile("utf8"));
  } finally {
    await before.close();
  }
}
