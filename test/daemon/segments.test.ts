/** Which parts of a log the daemon sees while a host rotates it. */
import { appendFileSync, linkSync, lstatSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { agent_record } from "../../src/contract/agent.ts";
import { exit_record_path, parts_record_path } from "../../src/contract/paths.ts";
import { segment_path } from "../../src/contract/segments.ts";
import { measure_log, segment_numbers } from "../../src/daemon/segments.ts";
import type { Services } from "../../src/daemon/services.ts";

let dir: string;
beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), "sv-segments-")));
  await mkdir(join(dir, "exits"));
});
const after_each: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const undo of after_each.splice(0)) await undo();
  await rm(dir, { recursive: true });
});

test("a log that is rotated all the time is seen without a gap, and never measured as more than it is", async () => {
  const log = join(dir, "a_stream.jsonl");
  const agent = agent_record.parse({ id: "a-000000-000000", status: "running", tracked_files: { log_file: log } });
  const record = parts_record_path(exit_record_path(dir, agent.id));
  // All that is asked of the daemon here is where the task is.
  const services = { registry: { task_of: () => ({ dir }) } } as unknown as Services;
  await writeFile(log, "1234\n");
  const rotations = 300;
  let rotated = 0;
  // As `rotate` does it, step by step, but without waiting: for a daemon that is slow several rotations lie between two steps of one look.
  const rotate_now = () => {
    const number = rotated + 1;
    const { ino, dev } = lstatSync(log);
    appendFileSync(record, `\n${JSON.stringify({ path: log, number, ino, dev })}\n`);
    linkSync(log, segment_path(log, number));
    writeFileSync(`${log}.new`, "1234\n");
    renameSync(`${log}.new`, log);
    rotated++;
  };
  const looks: number[] = [];
  // No more in the time of one look than a tenth of all: a loaded machine would else look at the beginning and at the end.
  const may_rotate = () => rotated < Math.min(rotations, (looks.length + 1) * (rotations / 10));
  const rotating = setInterval(() => may_rotate() && rotate_now(), 1);
  after_each.push(async () => clearInterval(rotating));
  const sizes: { at_least: number; bytes: number; at_most: number }[] = [];
  while (rotated < rotations) {
    const numbers = await segment_numbers(services, agent, "log_file");
    expect(numbers).toEqual(numbers.map((_number, index) => index + 1));
    looks.push(numbers.length);
    const before = rotated;
    const bytes = (await measure_log(services, agent, "log_file"))?.bytes ?? 0;
    sizes.push({ at_least: (before + 1) * 5, bytes, at_most: (rotated + 1) * 5 });
  }
  expect(new Set(looks).size, "looks in the middle").toBeGreaterThan(3);
  expect(sizes.filter(({ at_least, bytes, at_most }) => bytes < at_least || bytes > at_most)).toEqual([]);
  expect(await segment_numbers(services, agent, "log_file")).toHaveLength(rotations);
});
