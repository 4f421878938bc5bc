import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ERRORS } from "../../src/contract/errors.ts";

test("docs/errors.md lists every code of the catalogue with its exit code, and no other", () => {
  const rows = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8").matchAll(
    /^\| `(\w+)` \| (\d+) \| (\d+) \|/gm,
  );
  const documented = Object.fromEntries(
    [...rows].map(([, code, http, exit]) => [code, { http: Number(http), exit: Number(exit) }]),
  );
  const actual = Object.fromEntries(Object.entries(ERRORS).map(([code, { http, exit }]) => [code, { http, exit }]));
  expect(documented).toEqual(actual);
});
