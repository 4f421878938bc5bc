import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { expect, test } from "vitest";
import { ERRORS, errno_of, is_disk_trouble, trouble } from "../../src/contract/errors.ts";

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

test("a quota that is used up and a lost network file, for which libuv has no name, are told in words and may pass", () => {
  for (const [number, name, words] of [
    [constants.errno.EDQUOT, "EDQUOT", "the disk quota is used up (EDQUOT)"],
    [constants.errno.ESTALE, "ESTALE", "the network file system lost the file (ESTALE)"],
  ] as const) {
    const code = `Unknown system error -${number}`;
    const error = Object.assign(new Error(`${code}: ${code}, write`), { code, errno: -number, syscall: "write" });
    expect([errno_of(error), trouble(error), is_disk_trouble(error)]).toEqual([name, words, true]);
  }
});
