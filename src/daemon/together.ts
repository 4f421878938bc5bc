/** Work on many things at once: what is asked for while it runs is worked on together, when it is done. */
export class Together<Item, Result> {
  /** The work that was begun, or will be, last; never rejects. */
  private last: Promise<unknown> = Promise.resolve();
  private waiting: { items: Item[]; result: Promise<Result> } | null = null;

  /** `work` begins after everybody whose items it gets has asked. */
  constructor(private readonly work: (items: readonly Item[]) => Promise<Result>) {}

  /** The result of the work on these items and whatever others were asked for at the time. */
  ask(items: readonly Item[]): Promise<Result> {
    if (!this.waiting) {
      const batch: Item[] = [];
      const result = this.last.then(() => {
        this.waiting = null;
        return this.work(batch);
      });
      this.last = result.catch(() => undefined /* told to who asked */);
      this.waiting = { items: batch, result };
    }
    this.waiting.items.push(...items);
    return this.waiting.result;
  }
}
