import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { OPERATIONS } from "../../src/contract/operations.ts";

test("docs/api.md has every operation of the table with its method, path and description, and no other", () => {
  const page = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");
  const documented = [...page.matchAll(/^\| `(\w+)` \| (GET|POST) \| `(\S+)` \| (.*) \|$/gm)].map(
    ([, name, method, path, description]) => ({ name, method, path, description }),
  );
  const actual = Object.entries(OPERATIONS).map(([name, { method, path, description }]) => ({
    name,
    method,
    path,
    description,
  }));
  const by_name = (a: { name?: string }, b: { name?: string }) => String(a.name).localeCompare(String(b.name));
  expect(documented.sort(by_name)).toEqual(actual.sort(by_name));
});

test("docs/api.md names every field of every request", () => {
  const page = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");
  for (const { query, body } of Object.values(OPERATIONS))
    for (const schema of [query, body])
      for (const field of Object.keys("shape" in schema ? (schema.shape as object) : {}))
        expect(page, field).toMatch(new RegExp(`\\b${field}\\b`));
});
