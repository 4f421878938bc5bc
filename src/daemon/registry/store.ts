/**
 * One registry file: read whole, written whole and durably. The only module that knows lowdb. The daemon is the only writer;
 * a file that somebody broke is set aside, never overwritten, and the last good copy is used.
 */
import { rename } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type Adapter, Low } from "lowdb";
import { REGISTRY_VERSION, type RegistryFile, registry_file } from "../../contract/agent.ts";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import { in_directory, read_in_place, replace_in_place } from "../../drivers/in-place.ts";
import { no_answer, PATIENCE_MS, within } from "../patience.ts";

/** How long a change waits at least behind a write that is overdue: it may just be coming back. In ms. */
const LEAST_MS = 1_000;

const last_good = (path: string) => `${path}.bak`;

/** Durable, and never through a link; the version before is kept beside it. */
class DurableJson implements Adapter<RegistryFile> {
  constructor(private readonly path: string) {}

  async read(): Promise<RegistryFile | null> {
    try {
      return parse(this.path, await read_in_place(this.path));
    } catch (error) {
      if (is_errno(error, "ENOENT")) return null;
      throw error;
    }
  }

  async write(data: RegistryFile): Promise<void> {
    await replace_in_place(this.path, `${JSON.stringify(data, null, 2)}\n`, basename(last_good(this.path)));
  }
}

function parse(path: string, text: string): RegistryFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SupervisorError("registry_unreadable", `${path} is not JSON: ${message_of(error)}`, { cause: "broken" });
  }
  const parsed = registry_file.safeParse(value);
  if (!parsed.success)
    throw new SupervisorError("registry_unreadable", `${path} is not a registry: ${parsed.error.issues[0]?.message}`, {
      cause: "broken",
    });
  if (parsed.data.registry_version > REGISTRY_VERSION) {
    throw new SupervisorError(
      "registry_unreadable",
      `${path} was written by a newer supervisor (version ${parsed.data.registry_version}); it is left alone`,
    );
  }
  return parsed.data;
}

export class RegistryStore {
  private readonly db: Low<RegistryFile>;
  private flushing: Promise<void> | null = null;
  private next: Promise<void> | null = null;
  /** When the write under way began, by the monotonic clock, or null. */
  private began: number | null = null;

  private constructor(
    readonly path: string,
    defaults: RegistryFile,
  ) {
    this.db = new Low(new DurableJson(path), defaults);
  }

  get data(): RegistryFile {
    return this.db.data;
  }

  static async create(path: string, data: RegistryFile): Promise<RegistryStore> {
    const store = new RegistryStore(path, data);
    await store.db.write();
    return store;
  }

  /** Loads a registry, or its last good copy when it is broken. Returns what had to be done as `warning`. */
  static async load(path: string): Promise<{ store: RegistryStore; warning: string | null }> {
    const store = new RegistryStore(path, registry_file.parse({ task_id: "" }));
    try {
      await store.db.read();
      return { store, warning: null };
    } catch (error) {
      if (!(error instanceof SupervisorError) || error.cause !== "broken") throw error;
      const aside = `${path}.broken-${new Date().toISOString().replaceAll(":", "")}`;
      store.db.data = parse(last_good(path), await read_in_place(last_good(path)));
      await in_directory(dirname(path), (at) => rename(at(basename(path)), at(basename(aside))));
      await store.db.write();
      return { store, warning: `${error.message}; it was set aside as ${aside} and the last good copy is used` };
    }
  }

  /**
   * Resolves when all that was changed before the call is on disk. Calls made while a write runs share the next one. A file system that does
   * not answer has one write of ours under way, however many wait; they are told `timeout`, and what they changed is written when it does.
   */
  flush(): Promise<void> {
    if (this.next === null) {
      const write = async () => {
        await this.flushing?.catch(
          () => undefined /* its own callers were told; this write contains the same changes */,
        );
        this.next = null;
        this.began = performance.now();
        this.flushing = this.db.write().finally(() => {
          this.began = null;
        });
        await this.flushing;
      };
      this.next = write();
    }
    const overdue = this.began === null ? 0 : performance.now() - this.began;
    return within(
      this.next,
      () => no_answer(this.path, "the change is written when it does"),
      Math.max(LEAST_MS, PATIENCE_MS - overdue),
    );
  }
}
