import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { Serializer } from "../../../src/daemon/registry/serialize.ts";

const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom('\n  "agents": []', "\ud800", "\u2028", "é"));
const value = fc.oneof(text, fc.jsonValue({ stringUnit: "binary" }), fc.constant(undefined), fc.double());
const field = fc
  .oneof(fc.constantFrom("id", "ending", "receipt", "agents", "2"), text)
  .filter((name) => name !== "__proto__");
const agent = fc.dictionary(field, value, { maxKeys: 6 });
/** What happens to an agent between two writes: a field gets another value, or goes, or nothing. */
const step = fc.record({ index: fc.nat(5), field, value: fc.option(value, { nil: null }), gone: fc.boolean() });

const whole = (data: unknown) => `${JSON.stringify(data, null, 2)}\n`;

describe("the text of a registry", () => {
  test("is what JSON.stringify makes of it, whatever changed since the last time", () => {
    fc.assert(
      fc.property(
        fc.dictionary(field, value),
        fc.array(agent, { maxLength: 6 }),
        fc.array(step),
        (head, agents, steps) => {
          const serializer = new Serializer();
          const data = { ...head, agents: agents as Record<string, unknown>[] };
          expect(serializer.serialize(data).toString()).toBe(whole(data));
          for (const { index, field: name, value: next, gone } of steps) {
            const one = data.agents[index];
            if (one && gone) delete one[name];
            else if (one) one[name] = next;
            expect(serializer.serialize(data).toString()).toBe(whole(data));
          }
        },
      ),
    );
  });

  test("is the same for what is no agent, and is kept as it is", () => {
    const data = { agents: [null, "text", 7, undefined, ["a", { b: [] }]] };
    expect(new Serializer().serialize(data).toString()).toBe(whole(data));
  });

  test("shows what an end under way changes in its place", () => {
    const serializer = new Serializer();
    const ending = { step: "stop", set_aside: [] as string[] };
    const data = { agents: [{ id: "a", ending: ending as typeof ending | null }] };
    serializer.serialize(data);
    ending.step = "verify";
    ending.set_aside.push("a file");
    expect(serializer.serialize(data).toString()).toBe(whole(data));
    (data.agents[0] as { ending: unknown }).ending = null;
    expect(serializer.serialize(data).toString()).toBe(whole(data));
  });

  test("cannot miss a change: what is remembered cannot be changed inside", () => {
    const data = { agents: [{ id: "a", tracked_files: { log_file: "/x" }, receipt: { notes: ["one"] } }] };
    new Serializer().serialize(data);
    const [one] = data.agents as [(typeof data.agents)[0]];
    expect(() => Object.assign(one.tracked_files, { more: "/y" })).toThrow(TypeError);
    expect(() => one.receipt.notes.push("two")).toThrow(TypeError);
    one.tracked_files = { log_file: "/z" };
    expect(one.tracked_files.log_file).toBe("/z");
  });

  test("takes no more memory than it has bytes, when of many agents few stay", async () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const held = () => {
      gc();
      return process.memoryUsage().arrayBuffers;
    };
    const serializer = new Serializer();
    const many = Array.from({ length: 4000 }, (_, index) => ({ id: `${index}`, prompt: "x".repeat(1000) }));
    const before = held();
    serializer.serialize({ agents: many });
    const few = many.filter((_, index) => index % 8 === 0);
    many.length = 0;
    const { length } = serializer.serialize({ agents: few });
    await vi.waitFor(() => expect(held() - before).toBeLessThan(1.2 * length), 40_000);
    expect(serializer.serialize({ agents: few }).length).toBe(length);
  });
});
