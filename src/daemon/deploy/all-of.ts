/** Waits for all, also when one fails: what is undone afterwards must not be under way any more. Rejects with the first failure. */
export async function all_of(work: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}
