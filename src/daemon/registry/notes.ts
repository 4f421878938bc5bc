/** Changes that nobody waits for, gathered into one write of each registry. */
import type { RegistryStore } from "./store.ts";

/** How long reports are gathered before the registry is written, in ms: a write takes 5 to 20, and a person looks no oftener. */
const NOTES_MS = 250;

export class Notes {
  /** The registries with something that was only noted, each with its timer. */
  private readonly noted = new Map<RegistryStore, NodeJS.Timeout>();

  /** `on_failed` is told when a write failed; what it should have written is in the next. */
  constructor(private readonly on_failed: (error: unknown) => void) {}

  /** The registry is written within `NOTES_MS`. */
  note(store: RegistryStore): void {
    if (this.noted.has(store)) return;
    this.noted.set(
      store,
      setTimeout(() => this.write(store), NOTES_MS),
    );
  }

  /** Writes at once what was noted, and `others`. Never rejects. */
  async settle(others: readonly RegistryStore[]): Promise<void> {
    await Promise.all([...new Set([...this.noted.keys(), ...others])].map((store) => this.write(store)));
  }

  private async write(store: RegistryStore): Promise<void> {
    clearTimeout(this.noted.get(store));
    this.noted.delete(store);
    await store.flush().catch(this.on_failed);
  }
}
