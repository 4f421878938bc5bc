import fc from "fast-check";
import { expect, test } from "vitest";
import { compile_filter, last_of, lines_backwards, lines_of } from "../../../src/daemon/logs/lines.ts";

async function* chunks(...parts: (string | Buffer)[]) {
  for (const part of parts) yield Buffer.from(part);
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("lines are put together across chunks, characters are not split, and a half-written last line is given as such", async () => {
  const euro = Buffer.from("€");
  expect(await all(lines_of(chunks("a\nb", euro.subarray(0, 1), euro.subarray(1), "\n\nrest")))).toEqual([
    { text: "a", bytes: 1, cut: 0, whole: true },
    { text: "b€", bytes: 4, cut: 0, whole: true },
    { text: "", bytes: 0, cut: 0, whole: true },
    { text: "rest", bytes: 4, cut: 0, whole: false },
  ]);
});

test("a line over a megabyte is cut and says how much is missing, read from either end", async () => {
  const line = { text: "x".repeat(1024 * 1024), bytes: 1024 * 1024 + 3, cut: 3, whole: true };
  expect(await all(lines_of(chunks("x".repeat(1024 * 1024), "yyy\n")))).toEqual([line]);
  expect(await all(lines_backwards(chunks("yyy\n", "x".repeat(1024 * 1024))))).toEqual([line]);
});

test("lines read backwards are those read forwards, wherever the blocks are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("\n", "a", "€", "\r\n", "bc")),
      fc.integer({ min: 1, max: 5 }),
      async (parts, size) => {
        const bytes = Buffer.from(parts.join(""));
        const blocks: Buffer[] = [];
        for (let end = bytes.length; end > 0; end -= size) blocks.push(bytes.subarray(Math.max(0, end - size), end));
        expect((await all(lines_backwards(chunks(...blocks)))).reverse()).toEqual(await all(lines_of(chunks(bytes))));
      },
    ),
  );
});

test("a filter that would take for ever by backtracking answers at once, and a broken one is named", () => {
  expect(compile_filter("(a+)+$")(`${"a".repeat(5000)}b`)).toBe(false);
  expect(() => compile_filter("(")).toThrow(/not a regular expression/);
});

test("the last items of a stream are kept, no more", async () => {
  expect((await all(last_of(lines_of(chunks("1\n2\n3\n")), 2))).map((line) => line.text)).toEqual(["2", "3"]);
});
