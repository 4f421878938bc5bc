import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PlainView } from "../../src/host/plain-view.ts";

const shown = (...chunks: string[]) => {
  const view = new PlainView();
  return chunks.map((chunk) => view.pass(Buffer.from(chunk, "latin1")).toString("latin1")).join("");
};

describe("what a view shows of an agent that must not be typed into", () => {
  test.each([
    ["\x1b[c"],
    ["\x1b[0c"],
    ["\x1b[>c"],
    ["\x1b[=c"],
    ["\x1b[5n"],
    ["\x1b[6n"],
    ["\x1b[?6n"],
    ["\x1b[?996n"],
    ["\x1b[>q"],
    ["\x1b[>0q"],
    ["\x1b[?25$p"],
    ["\x1b[4$p"],
    ["\x1b[14t"],
    ["\x1b[18t"],
    ["\x1b[?u"],
    ["\x1b[x"],
    ["\x1b[?1;1;0S"],
    ["\x1b[?1004h"],
    ["\x1b[?25;2048h"],
    ["\x1b]10;?\x07"],
    ["\x1b]11;?\x1b\\"],
    ["\x1b]4;1;?;2;?\x07"],
    ["\x1b]52;c;?\x07"],
    ["\x1bP$q q\x1b\\"],
    ["\x1bP+q544e\x1b\\"],
    ["\x1b_Gi=31,s=1,v=1,a=q;AAAA\x1b\\"],
    ["\x1bZ"],
    ["\x05"],
  ])("lacks the query %j, whole, and cut at every place", (query) => {
    const text = `before ${query}after`;
    // The end of a string may stay as the two bytes that mean nothing on their own.
    const without = (result: string) => result.replace("\x1b\\", "");
    expect(without(shown(text))).toBe("before after");
    for (let cut = 0; cut <= text.length; cut++)
      expect(without(shown(text.slice(0, cut), text.slice(cut))), `cut at ${cut}`).toBe("before after");
    expect(without(shown(...text))).toBe("before after");
  });

  test.each([
    ["plain text\r\n\ttab\b"],
    ["\xe2\x94\x80 \xf0\x9f\x98\x80"],
    ["\x1b[1;31mred\x1b[0m\x1b[38:2::1:2:3m\x1b[4:3m"],
    ["\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[2A\x1b[3X\x1b[5r\x1b[s\x1b[u\x1b[2S"],
    ["\x1b[?1049h\x1b[?25l\x1b[?2026h\x1b[?7l\x1b[4h\x1b[!p\x1b[2 q"],
    ["\x1b]0;a title\x07\x1b]2;another\x1b\\"],
    ["\x1b]8;;https://example.org/?q=1\x1b\\link\x1b]8;;\x1b\\"],
    ["\x1b7\x1b8\x1bM\x1bc\x1b(0lqk\x1b(B\x1b=\x1b>"],
  ])("has %j as it is, whole and cut at every place", (text) => {
    expect(shown(text)).toBe(text);
    expect(shown(...text)).toBe(text);
  });

  test("lacks a query with control characters inside, which are obeyed on their own", () => {
    expect(shown("a\x1b[6\nnb")).toBe("a\nb");
    expect(shown("a\x1b[6\x18nb")).toBe("anb");
    expect(shown("a\x1b[6\x1b[6nb")).toBe("ab");
  });

  test("is the same however the output is cut, and never holds a query", () => {
    const pieces = fc.constantFrom(..."\x1b[]6nc?;1\x07\\Pm\nx$p\x18");
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), fc.nat(60), (parts, cut) => {
        const text = parts.join("");
        const whole = shown(text);
        expect(shown(text.slice(0, cut), text.slice(cut))).toBe(whole);
        expect(
          whole
            .split("\x1b")
            .slice(1)
            .filter((part) => /^\[[>=?]?[\d;]*[cn]/.test(part)),
        ).toEqual([]);
        // What is shown once passes a second time unchanged: no query is put together from what was left.
        expect(shown(whole)).toBe(whole);
      }),
      { numRuns: 2000 },
    );
  });
});
