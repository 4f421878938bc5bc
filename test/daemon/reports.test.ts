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

test("nothing is remembered of the reports of an agent that has ended", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-reports-"));
  const [ended, going_on] = ["a", "b"].map((name) => join(dir, "progress", `${name}_progress.jsonl`)) as [
    string,
    string,
  ];
  const reports = new Reports();
  try {
    await mkdir(join(dir, "progress"));
    await Promise.all([reports.append(ended, 1), reports.append(going_on, 1)]);
    await reports.settled([going_on]);
    await reports.append(going_on, 2);
    expect(reports.remembered).toBe(2);
    await reports.settled([ended, join(dir, "findings", "never_reported.jsonl")]);
    expect(reports.remembered).toBe(1);
  } finally {
    await rm(dir, { recursive: true });
  }
});
