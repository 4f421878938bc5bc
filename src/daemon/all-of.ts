/**
 * Waits for all, also when one fails: what is undone or tried again afterwards must not be under way any more. Rejects with the first failure, in their order.
 */
export async function all_of<T extends unknown[]>(work: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(work);
  return Promise.all(work) as Promise<T>;
}
