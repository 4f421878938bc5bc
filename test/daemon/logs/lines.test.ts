import { expect, test } from "vitest";
import { compile_filter, format_line, last_of, lines_of } from "../../../src/daemon/logs/lines.ts";

async function* chunks(...parts: (string | Buffer)[]) {
  for (const part of parts) yield Buffer.from(part);
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("lines are put together across chunks, characters are not split, and a half-written last line is given", async () => {
  const euro = Buffer.from("€");
  expect(await all(lines_of(chunks("a\nb", euro.subarray(0, 1), euro.subarray(1), "\n\nrest")))).toEqual([
    "a",
    "b€",
    "",
    "rest",
  ]);
});

test("a line over a megabyte is cut and says how much is missing", async () => {
  const [line] = await all(lines_of(chunks("x".repeat(1024 * 1024), "yyy\n")));
  expect(line).toMatch(/x \[3 bytes more\]$/);
});

test("a filter that would take for ever by backtracking answers at once, and a broken one is named", () => {
  expect(compile_filter("(a+)+$")(`${"a".repeat(5000)}b`)).toBe(false);
  expect(() => compile_filter("(")).toThrow(/not a regular expression/);
});

test("formats: text stays, jsonl wraps what is not JSON, parsed reads stream-json", () => {
  expect(format_line("plain", "jsonl")).toBe('{"type":"text","text":"plain"}');
  expect(format_line('{"a":1}', "jsonl")).toBe('{"a":1}');
  expect(
    format_line(
      '{"type":"assistant","message":{"content":[{"type":"text","text":"hi"},{"type":"tool_use","name":"Bash","input":{"c":1}}]}}',
      "parsed",
    ),
  ).toBe('[ASST] hi\n[TOOL] Bash {"c":1}');
  expect(format_line('{"half', "parsed")).toBe('{"half');
});

test("the last items of a stream are kept, no more", async () => {
  expect(await all(last_of(lines_of(chunks("1\n2\n3\n")), 2))).toEqual(["2", "3"]);
});
