import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");

test("every test that docs/seed.md names is there, and every limitation and wish has one", () => {
  const rows = read("docs/seed.md")
    .split("\n")
    .filter((line) => /^\| (?!the seed's|---)/.test(line) && !line.startsWith("|---"));
  expect(rows.length).toBeGreaterThanOrEqual(14);
  for (const row of rows) {
    const named = /`(test\/[^`]+\.test\.ts)`: (.+) \|$/.exec(row);
    expect(named, row).not.toBeNull();
    const [, file, title] = named as RegExpExecArray;
    expect(existsSync(new URL(file as string, ROOT)), file).toBe(true);
    expect(read(file as string), `${file}: ${title}`).toContain(`test("${title}"`);
  }
});
