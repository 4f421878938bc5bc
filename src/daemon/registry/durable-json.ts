/**
 * A registry file as lowdb writes it: whole and durably. The daemon is the only writer; a file that somebody broke or edited is set aside,
 * never overwritten.
 *
 * At every moment of a write a good copy is under one of the two names: the new version is written beside and synced, the version before gets
 * the name `.bak` as well, and then the new one takes its place by a rename.
 */
import { link, lstat, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Adapter } from "lowdb";
import type { RegistryFile } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import { in_directory, replace_in_place } from "../../drivers/in-place.ts";
import { type FileMark, read_registry } from "./reading.ts";
import { Serializer } from "./serialize.ts";

const last_good = (path: string) => `${path}.bak`;

/** Told of everything a person should know, in one line. */
export type Warn = (text: string) => void;

/** A write is given up before it takes the file's place. */
class Withdrawn extends Error {}

/** Durable, and never through a link; the version before is kept beside it. */
export class DurableJson implements Adapter<RegistryFile> {
  /** The file as we read or wrote it last; null when there was none that could be used. */
  private known: { mark: FileMark; content: Buffer } | null = null;
  /** What a write had that failed at its last steps: it is in the file's place all the same when only the directory could not be synced. */
  private unsure: Buffer | null = null;
  /** What is being written was taken back meanwhile. */
  private is_withdrawn = false;
  is_closed = false;
  /** What somebody else wrote and is kept aside: it stays in the file's place until a write succeeds. */
  private edited: FileMark | null = null;
  private readonly serializer = new Serializer();

  constructor(
    private readonly path: string,
    private readonly warn: Warn,
  ) {}

  /** The registry, or null when it is missing or broken (then it was set aside). Rejects when it must be left alone. */
  async read(): Promise<RegistryFile | null> {
    const reading = await read_registry(this.path);
    switch (reading.kind) {
      case "good":
        this.known = { mark: reading.mark, content: Buffer.from(reading.text) };
        return reading.data;
      case "missing":
        this.warn(`${this.path} is missing`);
        return null;
      case "broken":
        this.warn(`${reading.reason}; it was set aside as ${await set_aside(this.path, "broken")}`);
        return null;
      case "off_limits":
        throw new SupervisorError("registry_unreadable", reading.reason);
    }
  }

  /** The last good copy, or null. A broken one is set aside as well: the next write makes a new one in its place. */
  async read_last_good(): Promise<RegistryFile | null> {
    const path = last_good(this.path);
    const reading = await read_registry(path);
    if (reading.kind === "good") return reading.data;
    if (reading.kind === "off_limits") throw new SupervisorError("registry_unreadable", reading.reason);
    if (reading.kind === "broken")
      this.warn(`${reading.reason}; it was set aside as ${await set_aside(path, "broken")}`);
    return null;
  }

  /** What was taken back while it was being written does not stay on the disk, and does not come there if its turn has not come yet. */
  async write(data: RegistryFile): Promise<void> {
    do {
      this.is_withdrawn = false;
      await this.write_once(data).catch((error) => {
        if (!(error instanceof Withdrawn)) throw error;
      });
    } while (this.is_withdrawn);
  }

  /** A write that is under way begins anew with what the data are by then. */
  withdraw(): void {
    this.is_withdrawn = true;
  }

  /** From now on no write takes the file's place. */
  close(): void {
    this.is_closed = true;
  }

  /** True when the file may hold what its caller was told had failed. */
  get is_unsure(): boolean {
    return this.unsure !== null;
  }

  private async write_once(data: RegistryFile): Promise<void> {
    const content = this.serializer.serialize(data);
    const keep = (await this.is_as_we_left_it()) ? basename(last_good(this.path)) : undefined;
    const written = await replace_in_place(this.path, content, keep, () => {
      if (this.is_closed) throw new SupervisorError("daemon_stopping", `${this.path} is not written any more`);
      if (this.is_withdrawn) throw new Withdrawn();
      this.unsure = content;
    });
    this.known = { mark: mark_of(written), content };
    this.unsure = null;
    this.edited = null;
  }

  /** Looks before each write. What somebody else put there is kept aside, with a warning; true when there is nothing of the kind. */
  private async is_as_we_left_it(): Promise<boolean> {
    const { known } = this;
    const found = await look_at(this.path).catch((error) => {
      if (is_errno(error, "ENOENT")) return null;
      throw error;
    });
    if (!found) {
      if (known) this.warn(`${this.path} was removed while the supervisor runs; it is written again`);
      return false;
    }
    const mark = mark_of(found);
    if (is_same(mark, known?.mark)) return true;
    if (is_same(mark, this.edited)) return false;
    const reading = await read_registry(this.path);
    const found_again = reading.kind === "good" ? Buffer.from(reading.text) : null;
    const ours = [known?.content, this.unsure].find((one) => one && found_again?.equals(one));
    // Touched, put back as it was, or our own: nothing would be lost. Noted, because the write that follows may fail as well.
    if (ours) {
      this.known = { mark, content: ours };
      return true;
    }
    const aside = await set_aside(this.path, "edited");
    this.warn(
      `${this.path} was changed by somebody else while the supervisor runs; the change is kept as ${aside} and not taken over (stop the supervisor before you edit)`,
    );
    this.edited = mark;
    return false;
  }
}

function mark_of(facts: { ino: bigint; mtimeNs: bigint; size: bigint }): FileMark {
  return { ino: facts.ino, mtime: facts.mtimeNs, size: facts.size };
}

const is_same = (one: FileMark, other: FileMark | null | undefined) =>
  one.ino === other?.ino && one.mtime === other.mtime && one.size === other.size;

/** A file's facts, without following a link. */
function look_at(path: string) {
  return in_directory(dirname(path), (at) => lstat(at(basename(path)), { bigint: true }));
}

/**
 * Keeps a file under a name of its own, which is returned; nothing that was set aside before is lost. A broken one leaves its old name;
 * an edited one keeps it until the next version takes its place, so that there is no moment without a registry.
 */
function set_aside(path: string, why: "broken" | "edited"): Promise<string> {
  const name = basename(path);
  const stem = `${name}.${why}-${new Date().toISOString().replaceAll(":", "")}`;
  return in_directory(dirname(path), async (at) => {
    for (let count = 0; ; count++) {
      const aside = count === 0 ? stem : `${stem}-${count}`;
      try {
        await link(at(name), at(aside));
        if (why === "broken") await rm(at(name));
        return aside;
      } catch (error) {
        if (is_errno(error, "EEXIST")) continue;
        // File systems without hard links (FAT, some network mounts), and a directory: link(2).
        if (!is_errno(error, "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")) throw error;
      }
      await rename(at(name), at(`${aside}-moved`));
      return `${aside}-moved`;
    }
  });
}

/** Removes what a daemon that was killed in the middle of a write left beside the registry. Only under the workspace's lock. */
export function sweep_temporaries(path: string): Promise<void> {
  const name = basename(path);
  return in_directory(dirname(path), async (at) => {
    for (const one of await readdir(at("."))) {
      // The numbers are of write-file-atomic, which wrote registries once.
      const ours = one.startsWith(`${name}.`) && /^(new|bak\.new|\d+)$/.test(one.slice(name.length + 1));
      if (ours) await rm(at(one), { force: true });
    }
  });
}
