import { mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { rotate } from "../../src/host/segment.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return { ...real, rename: vi.fn(real.rename) };
});

let dir: string;
beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), "sv-segment-")));
});
afterEach(() => rm(dir, { recursive: true }));

test("a rotation that fails between the second name and the empty file is tried again without a third name", async () => {
  const [log, record] = [join(dir, "a_stream.jsonl"), join(dir, "parts")];
  await writeFile(log, "one\n");
  vi.mocked(rename).mockRejectedValueOnce(Object.assign(new Error("EIO"), { code: "EIO" }));
  await expect(rotate(log, 1, record)).rejects.toThrow("EIO");
  const { handle, number } = await rotate(log, 1, record);
  await handle.close();
  expect(number).toBe(1);
  expect((await readdir(dir)).sort()).toEqual(["a_stream.1.jsonl", "a_stream.jsonl", "parts"]);
  expect([await readFile(join(dir, "a_stream.1.jsonl"), "utf8"), await readFile(log, "utf8")]).toEqual(["one\n", ""]);
});
