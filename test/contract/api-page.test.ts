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

test("docs/api.md, or a page it links to, names every field of every request", () => {
  const docs = new URL("../../docs/", import.meta.url);
  const page = readFileSync(new URL("api.md", docs), "utf8");
  const linked = [...page.matchAll(/\]\((\w+\.md)/g)].map(([, name]) =>
    readFileSync(new URL(name as string, docs), "utf8"),
  );
  const pages = [page, ...linked].join("\n");
  for (const { query, body } of Object.values(OPERATIONS))
    for (const schema of [query, body])
      for (const field of Object.keys("shape" in schema ? (schema.shape as object) : {}))
        expect(pages, field).toMatch(new RegExp(`\\b${field}\\b`));
});
