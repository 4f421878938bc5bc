import { appendFileSync, existsSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { journal_path } from "../../../src/contract/paths.ts";
import { Registry } from "../../../src/daemon/registry/registry.ts";
import type { Services } from "../../../src/daemon/services.ts";
import { orphaned_files } from "../../../src/daemon/sweep/orphaned-files.ts";
import { Sweep } from "../../../src/daemon/sweep/sweep.ts";

let workspace: string;
beforeEach(() => {
  workspace = realpathSync(mkdtempSync(join(tmpdir(), "sv-orphans-")));
});
afterEach(() => rmSync(workspace, { recursive: true }));

/** A sweep that has known of everything for long, and to which nobody holds a file. */
async function sweep(registry: Registry): Promise<Sweep> {
  const services = {
    registry,
    config: { retention: { days: 7 } },
    runtime_dir: workspace,
    ages: { age_of: (ms: number) => Date.now() - ms },
    sightings: { seen_for: () => Number.POSITIVE_INFINITY },
    verifier: {
      verify: async (paths: string[]) => paths.map((path) => ({ path, verdict: "clear", holders: [], reason: null })),
    },
    audit: { note: () => undefined },
    metrics: { swept: () => undefined },
    log: { info: () => undefined, warn: () => undefined },
  } as unknown as Services;
  const one = new Sweep(services, false);
  await orphaned_files(one);
  return one;
}

test("a file is no orphan while its task's journal has a line that is no receipt: that may be its owner's", async () => {
  const before = new Registry(workspace);
  const { dir, task_id } = await before.create_task("x");
  const id = "agent-120001-abcde1";
  const file = join(dir, "logs", `${id}_stream.jsonl`);
  writeFileSync(file, "kept on purpose\n");
  utimesSync(file, 1, 1);
  appendFileSync(journal_path(dir), `{"id":"${id}","status":7}\n`);
  const registry = new Registry(workspace);
  await registry.load();
  expect(registry.task(task_id).journal.unreadable).toBe(1);
  expect((await sweep(registry)).items).toEqual([
    expect.objectContaining({
      path: file,
      action: "leave",
      why: expect.stringContaining("the task's journal has lines that are no receipts, and one may be of its owner"),
    }),
  ]);
  expect(existsSync(file)).toBe(true);

  rmSync(journal_path(dir));
  const without = new Registry(workspace);
  await without.load();
  expect((await sweep(without)).items).toEqual([expect.objectContaining({ path: file, result: "done" })]);
  expect(existsSync(file)).toBe(false);
});
