import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);

test("every line of defence in docs/threat-model.md names a test that exists", () => {
  const page = readFileSync(new URL("docs/threat-model.md", root), "utf8");
  const [, defended = ""] = page.split("## What is defended");
  const lines = (defended.split("## What is not")[0] as string)
    .split("\n")
    .filter((line) => /^\| (?!threat)[^-]/.test(line));
  expect(lines.length).toBeGreaterThan(15);
  for (const line of lines) {
    const [, file, title] = /\| (test\/[\w./-]+): (.+) \|$/.exec(line) ?? [];
    expect(file, line).toBeDefined();
    expect(existsSync(new URL(file as string, root)), line).toBe(true);
    expect(readFileSync(new URL(file as string, root), "utf8"), line).toContain(title);
  }
});
