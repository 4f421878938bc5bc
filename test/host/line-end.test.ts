import fc from "fast-check";
import { expect, test } from "vitest";
import { end_of_part, LINE_SLACK_BYTES } from "../../src/host/line-end.ts";

const chunk = (text: string) => Buffer.from(text);

test("what fits is taken whole; else the lines that fit; else the line begins a new part", () => {
  expect(end_of_part(chunk("ab\ncd\n"), { room: 6, at_line_start: true })).toBe(6);
  expect(end_of_part(chunk("ab\ncd\n"), { room: 5, at_line_start: true })).toBe(3);
  expect(end_of_part(chunk("abcdef\n"), { room: 3, at_line_start: true })).toBe(0);
});

test("a line that was begun, or that fits in no part, goes on over the limit to its end", () => {
  expect(end_of_part(chunk("def\nx"), { room: 2, at_line_start: false })).toBe(4);
  expect(end_of_part(chunk("def\nx"), { room: -5, at_line_start: false })).toBe(4);
  expect(end_of_part(chunk("defx"), { room: -5, at_line_start: false })).toBe(4);
});

test("a line without an end is cut where the slack ends", () => {
  const long = Buffer.alloc(LINE_SLACK_BYTES + 100, "x");
  expect(end_of_part(long, { room: 10, at_line_start: false })).toBe(LINE_SLACK_BYTES + 10);
  expect(end_of_part(long, { room: -LINE_SLACK_BYTES, at_line_start: false })).toBe(0);
});

test("any text cut into parts again and again is taken whole, and every part ends with a whole line while lines are short", () => {
  const line = fc.string({ maxLength: 40 }).map((text) => `${text.replaceAll("\n", "")}\n`);
  fc.assert(
    fc.property(fc.array(line, { minLength: 1 }), fc.integer({ min: 50, max: 300 }), (lines, max) => {
      let rest = chunk(lines.join(""));
      const parts: Buffer[] = [];
      let part = Buffer.alloc(0);
      while (rest.length > 0) {
        const at_line_start = part.length > 0 && part.at(-1) === 0x0a;
        const take = end_of_part(rest, { room: max - part.length, at_line_start });
        if (take === 0) {
          parts.push(part);
          part = Buffer.alloc(0);
        }
        part = Buffer.concat([part, rest.subarray(0, take)]);
        rest = rest.subarray(take);
      }
      parts.push(part);
      expect(Buffer.concat(parts).toString()).toBe(lines.join(""));
      for (const one of parts) expect(one.at(-1)).toBe(0x0a);
    }),
  );
});
