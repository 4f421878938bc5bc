import { expect, test } from "vitest";
import { deferred } from "../../src/contract/deferred.ts";
import { Together } from "../../src/daemon/together.ts";

test("what is asked for while work runs is worked on together afterwards, and each gets the result of its own work", async () => {
  const runs: { items: readonly number[]; done: ReturnType<typeof deferred<string>> }[] = [];
  const together = new Together<number, string>((items) => {
    const done = deferred<string>();
    runs.push({ items, done });
    return done.promise;
  });
  const first = together.ask([1]);
  const same = together.ask([2, 3]);
  await Promise.resolve();
  const later = together.ask([4]);
  const later_too = together.ask([5]);
  expect(runs.map(({ items }) => items)).toEqual([[1, 2, 3]]);
  runs[0]?.done.resolve("one");
  expect(await Promise.all([first, same])).toEqual(["one", "one"]);
  await Promise.resolve();
  expect(runs.map(({ items }) => items)).toEqual([
    [1, 2, 3],
    [4, 5],
  ]);
  runs[1]?.done.resolve("two");
  expect(await Promise.all([later, later_too])).toEqual(["two", "two"]);
});

test("work that fails is told to those who asked for it, and keeps nobody else", async () => {
  let calls = 0;
  const together = new Together<number, number>(async (items) => {
    if (++calls === 1) throw new Error("no");
    return items.length;
  });
  await expect(together.ask([1])).rejects.toThrow("no");
  expect(await together.ask([2, 3])).toBe(2);
});
