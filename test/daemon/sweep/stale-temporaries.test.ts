import { appendFileSync, existsSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { archive_dir, journal_path } from "../../../src/contract/paths.ts";
import { Registry } from "../../../src/daemon/registry/registry.ts";
import type { Services } from "../../../src/daemon/services.ts";
import { stale_temporaries } from "../../../src/daemon/sweep/stale-temporaries.ts";
import { Sweep } from "../../../src/daemon/sweep/sweep.ts";

let workspace: string;
beforeEach(() => {
  workspace = realpathSync(mkdtempSync(join(tmpdir(), "sv-stale-")));
});
afterEach(() => rmSync(workspace, { recursive: true }));

/** A sweep that has known of everything for long, and to which nobody holds a file. */
async function sweep(): Promise<Sweep> {
  const registry = new Registry(workspace);
  await registry.load();
  const services = {
    registry,
    workspace,
    ages: { age_of: (ms: number) => Date.now() - ms },
    sightings: { seen_for: () => Number.POSITIVE_INFINITY },
    audit: { note: () => undefined },
    verifier: {
      verify: async (paths: string[]) => paths.map((path) => ({ path, verdict: "clear", holders: [], reason: null })),
    },
    metrics: { swept: () => undefined },
    log: { info: () => undefined, warn: () => undefined },
  } as unknown as Services;
  const one = new Sweep(services, false);
  await stale_temporaries(one);
  return one;
}

test("half an archive is left alone while its task has a line or an entry that nobody can read, which may be its agent's", async () => {
  const { dir } = await new Registry(workspace).create_task("x");
  const half = join(archive_dir(dir), "agent-120001-abcde1_stream.jsonl.gz.new");
  writeFileSync(half, "half");
  utimesSync(half, 1, 1);
  appendFileSync(journal_path(dir), "bit rot\n");
  expect((await sweep()).items).toEqual([
    expect.objectContaining({ path: half, action: "leave", why: expect.stringContaining("nobody can read") }),
  ]);
  expect(existsSync(half)).toBe(true);

  rmSync(journal_path(dir));
  expect((await sweep()).items).toEqual([expect.objectContaining({ path: half, result: "done" })]);
  expect(existsSync(half)).toBe(false);
});
