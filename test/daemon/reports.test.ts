import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Reports } from "../../src/daemon/reports.ts";

test("reports under way when an end begins are on disk before it goes on", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-reports-"));
  const path = join(dir, "progress", "a_progress.jsonl");
  const reports = new Reports();
  try {
    await mkdir(join(dir, "progress"));
    const written = Array.from({ length: 50 }, (_, i) => reports.append(path, i));
    await reports.settled([path]);
    expect(await readFile(path, "utf8")).toBe(Array.from({ length: 50 }, (_, i) => `${i}\n`).join(""));
    await Promise.all(written);
    await reports.settled([path]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
