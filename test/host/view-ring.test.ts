import fc from "fast-check";
import { expect, test } from "vitest";
import { ViewRing } from "../../src/host/view-ring.ts";

const SIZE = 16;
const step = fc.oneof(
  fc.record({
    text: fc.string({ minLength: 1, maxLength: 40, unit: "grapheme-ascii" }),
    from: fc.constantFrom("a", "b"),
  }),
  fc.constant("take" as const),
);

test("a ring has the newest chunks whole and in order, no more than its size, and says of each whether something of its stream is missing before it", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ring = new ViewRing<string>(SIZE);
      let model: { text: string; from: string }[] = [];
      const gaps = new Set<string>();
      for (const one of steps) {
        if (one === "take") {
          const expected = model.shift();
          const taken = ring.shift();
          expect(taken && { text: taken.chunk.toString("latin1"), from: taken.from, gap: taken.after_gap }).toEqual(
            expected ? { ...expected, gap: gaps.delete(expected.from) } : null,
          );
          continue;
        }
        const text = one.text.slice(-SIZE);
        if (text.length < one.text.length) gaps.add(one.from);
        const memory = Buffer.from(one.text, "latin1");
        ring.push(memory, one.from);
        // What is kept is a copy.
        memory.fill(0);
        while (model.reduce((sum, { text }) => sum + text.length, text.length) > SIZE)
          gaps.add((model.shift() as { from: string }).from);
        model = [...model, { text, from: one.from }];
      }
    }),
  );
});
