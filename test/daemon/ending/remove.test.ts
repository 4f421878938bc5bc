import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { agent_record, type Ending } from "../../../src/contract/agent.ts";
import { task_folders, tracked_files_of, trash_dir } from "../../../src/contract/paths.ts";
import type { CleanupPolicy } from "../../../src/contract/receipt.ts";
import { remove_files } from "../../../src/daemon/ending/remove.ts";
import { set_aside } from "../../../src/daemon/ending/set-aside.ts";

let dir: string;
const text = "0123456789".repeat(1000);
const agent = () =>
  agent_record.parse({ id: "a-000000-abcdef", tracked_files: tracked_files_of(dir, "a-000000-abcdef", false) });
const new_ending = (cleanup: CleanupPolicy): Ending => ({
  cause: "kill",
  reason: "",
  requested_at: "",
  cleanup,
  grace_ms: 0,
  step: "set_aside",
  closed: null,
  session_killed: false,
  set_aside: [],
  files_failed: [],
  duration_ms: {},
  result_event: null,
});
const clear = (ending: Ending) =>
  ending.set_aside.map((file) => ({ path: file.trash_path, verdict: "clear" as const, holders: [], reason: null }));

beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), "sv-remove-")));
  await Promise.all(task_folders(dir).map((folder) => mkdir(folder, { recursive: true })));
  await Promise.all(Object.values(agent().tracked_files).map((path) => writeFile(path, text)));
});
afterEach(() => rm(dir, { recursive: true }));

test.each(["delete", "archive"] as const)(
  "a removal (%s) that is repeated after a crash names every file once and counts its bytes once",
  async (cleanup) => {
    const whole = new_ending(cleanup);
    await set_aside(dir, agent(), whole);
    const on_disk = structuredClone(whole);
    const all = structuredClone(whole);
    // The first run gets through two of the five files, and dies.
    all.set_aside = all.set_aside.slice(0, 2);
    const first = await remove_files(dir, all, clear(all));
    await set_aside(dir, agent(), on_disk);
    const files = await remove_files(dir, on_disk, clear(on_disk));
    const named = cleanup === "delete" ? files.files_deleted : files.files_archived;
    expect(new Set(named).size).toBe(5);
    expect(named).toHaveLength(5);
    expect(files.files_failed).toEqual([]);
    expect(files.bytes_freed).toBe((first.bytes_freed / 2) * 5);
    expect(named.every((path) => existsSync(path) === (cleanup === "archive"))).toBe(true);
  },
);

test("a file that was moved before the list was on disk is found in trash", async () => {
  const path = agent().tracked_files.log_file as string;
  await rename(path, join(trash_dir(dir), "a-000000-abcdef_stream.jsonl"));
  const ending = new_ending("delete");
  await set_aside(dir, agent(), ending);
  expect(ending.set_aside.map((file) => file.bytes)).toEqual([1, 1, 1, 1, 1].map(() => text.length));
});

test("a file that somebody makes anew after it was set aside overwrites nothing", async () => {
  const ending = new_ending("delete");
  await set_aside(dir, agent(), ending);
  const path = agent().tracked_files.progress_file as string;
  await writeFile(path, "late");
  await set_aside(dir, agent(), ending);
  expect(ending.set_aside.filter((file) => file.path === path).map((file) => file.bytes)).toEqual([text.length, 4]);
  expect(new Set(ending.set_aside.map((file) => file.trash_path)).size).toBe(6);
});

test("an archive directory that leads to another place gets nothing, and the file stays in trash", async () => {
  const outside = await mkdtemp(join(tmpdir(), "sv-outside-"));
  await rm(join(dir, "archive"), { recursive: true });
  await symlink(outside, join(dir, "archive"));
  const ending = new_ending("archive");
  await set_aside(dir, agent(), ending);
  const files = await remove_files(dir, ending, clear(ending));
  expect(files.files_deferred).toHaveLength(5);
  expect(files.files_deferred.every((one) => existsSync(one.trash_path))).toBe(true);
  expect(readdirSync(outside)).toEqual([]);
  await rm(outside, { recursive: true });
});
