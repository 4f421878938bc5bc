/** One registry file: read whole, written whole, a write at a time. The only module that knows lowdb, with its adapter. */
import { Low } from "lowdb";
import type { RegistryFile } from "../../contract/agent.ts";
import { no_answer, PATIENCE_MS, within } from "../patience.ts";
import { DurableJson, sweep_temporaries, type Warn } from "./durable-json.ts";

/** How long a change waits at least behind a write that is overdue: it may just be coming back. In ms. */
const LEAST_MS = 1_000;

/** When a write that failed, and may be in the file's place all the same, is made again, in ms. */
const AGAIN_MS = 1_000;

/** Where a registry's data came from. */
export type Source = "file" | "last_good" | "nothing";

export class RegistryStore {
  private readonly db: Low<RegistryFile>;
  private flushing: Promise<void> | null = null;
  private next: Promise<void> | null = null;
  /** When the write under way began, by the monotonic clock, or null. */
  private began: number | null = null;
  private again: NodeJS.Timeout | undefined;
  /** Told how long each write took, in ms. */
  on_write: (ms: number, ok: boolean) => void = () => {};

  private constructor(
    readonly path: string,
    private readonly adapter: DurableJson,
    defaults: RegistryFile,
  ) {
    this.db = new Low(adapter, defaults);
  }

  get data(): RegistryFile {
    return this.db.data;
  }

  static async create(path: string, data: RegistryFile, warn: Warn): Promise<RegistryStore> {
    const store = new RegistryStore(path, new DurableJson(path, warn), data);
    await store.db.write();
    return store;
  }

  /**
   * Loads a registry; its last good copy when it is missing or broken; `defaults` when there is no copy either. The last two are not yet
   * on disk. Rejects with `registry_unreadable`, and touches nothing, when the file is of a newer version or cannot be read.
   */
  static async load(
    path: string,
    defaults: RegistryFile,
    warn: Warn,
  ): Promise<{ store: RegistryStore; source: Source }> {
    await sweep_temporaries(path);
    const adapter = new DurableJson(path, warn);
    const store = new RegistryStore(path, adapter, defaults);
    const own = await adapter.read();
    const found = own ?? (await adapter.read_last_good());
    if (found) store.db.data = found;
    return { store, source: own ? "file" : found ? "last_good" : "nothing" };
  }

  /**
   * Resolves when all that was changed before the call is on disk. Calls made while a write runs share the next one. A file system that does
   * not answer has one write of ours under way, however many wait; they are told `timeout`. Who then changes the data back calls `withdraw`.
   */
  flush(): Promise<void> {
    if (this.next === null) {
      const write = async () => {
        await this.flushing?.catch(
          () => undefined /* its own callers were told; this write contains the same changes */,
        );
        this.next = null;
        this.began = performance.now();
        const done = (ok: boolean) => this.on_write(performance.now() - (this.began ?? 0), ok);
        this.flushing = this.db
          .write()
          .then(
            () => done(true),
            (error) => {
              done(false);
              throw error;
            },
          )
          .finally(() => {
            this.began = null;
            if (this.adapter.is_unsure && !this.adapter.is_closed) this.write_again();
          });
        await this.flushing;
      };
      this.next = write();
    }
    const overdue = this.began === null ? 0 : performance.now() - this.began;
    return within(
      this.next,
      () => no_answer(this.path, "nothing is recorded until it does"),
      Math.max(LEAST_MS, PATIENCE_MS - overdue),
    );
  }

  /** Some of the data were changed back: a write under way must not leave on the disk what its caller is told had failed. */
  withdraw(): void {
    this.adapter.withdraw();
  }

  /** True when the file may hold what was told to have failed. */
  get is_unsure(): boolean {
    return this.adapter.is_unsure;
  }

  /** Nothing is written any more: the file is another daemon's from now on, or goes. */
  close(): void {
    this.adapter.close();
    clearTimeout(this.again);
  }

  /** Until a write succeeds: nobody else may change anything for hours, and whoever loads the file meanwhile would believe it. */
  private write_again(): void {
    clearTimeout(this.again);
    this.again = setTimeout(() => {
      this.flush().catch(
        () => undefined /* the write's own error, or `timeout`: counted by `on_write`, and it leads here again */,
      );
    }, AGAIN_MS);
    this.again.unref();
  }
}
