import fc from "fast-check";
import { expect, test } from "vitest";
import { one_line, printable, printable_json } from "../../src/contract/printable.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\p{Bidi_Control}|[\u200b-\u200f\u2028\u2029\u2060\ufeff]/u;

test("control codes, overrides of the reading direction, and what has no width are shown instead of obeyed", () => {
  expect(printable("\x1b[31mred\x07\x9b2J\x7f")).toBe("^[[31mred^G\\x9b2J^?");
  expect(printable("user\u202egnp.exe\u200b\u{e0041}")).toBe("user\\u{202e}gnp.exe\\u{200b}\\u{e0041}");
  expect(printable("äöü 漢字 🙂\ttab\r\n")).toBe("äöü 漢字 🙂\ttab\n");
  expect(one_line("a\n  status  completed")).toBe("a status completed");
});

test("whatever the text, nothing a terminal obeys is left, and JSON for a terminal is the same value", () => {
  const any_text = fc.string({ unit: fc.oneof(fc.nat(0x10ffff).map(code_point), fc.constantFrom("\x1b", "\u202e")) });
  fc.assert(
    fc.property(any_text, (text) => {
      expect(printable(text)).not.toMatch(OBEYED);
      expect(one_line(text)).not.toMatch(/\n/);
      const json = JSON.stringify({ [text]: [text] });
      expect(printable_json(json)).not.toMatch(OBEYED);
      expect(JSON.parse(printable_json(json))).toEqual(JSON.parse(json));
    }),
  );
});

const code_point = (code: number) => String.fromCodePoint(code);
