import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { supervisor_config } from "../../src/contract/config.ts";
import { unwrapped } from "../../src/daemon/config/parse.ts";

/** Every key of the schema that has a description, with it. */
function keys_of(schema: z.ZodType, path = ""): [string, string][] {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodRecord) return keys_of(inner.valueType as z.ZodType, `${path}.<name>`);
  if (inner instanceof z.ZodArray) return keys_of(inner.element as z.ZodType, `${path}[]`);
  if (!(inner instanceof z.ZodObject)) return [];
  return Object.entries(inner.shape as Record<string, z.ZodType>).flatMap(([key, value]): [string, string][] => {
    const here = path ? `${path}.${key}` : key;
    return [[here, value.description ?? ""], ...keys_of(value, here)];
  });
}

test("docs/config.md lists every key of the schema with its description, and no other", () => {
  const text = readFileSync(new URL("../../docs/config.md", import.meta.url), "utf8");
  const documented = [...text.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, key, description]) => [
    key,
    description,
  ]);
  const actual = keys_of(supervisor_config);
  expect(actual.filter(([, description]) => description === "")).toEqual([]);
  expect(documented).toEqual(actual);
});
