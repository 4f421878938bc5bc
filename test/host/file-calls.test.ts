import * as of_node from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as ours from "../../src/host/file-calls.ts";

let directory: string;
beforeEach(async () => {
  directory = await of_node.mkdtemp(join(tmpdir(), "sv-calls-"));
});
afterEach(() => of_node.rm(directory, { recursive: true }));

test("a handle is closed when nothing asked of it is under way any more: no other file gets what still waits for a thread", async () => {
  const path = join(directory, "log");
  const log = await ours.open(path, "ax", 0o600);
  const megabyte = Buffer.alloc(1024 * 1024, "x");
  const writes = Array.from({ length: 40 }, () => log.writev([megabyte]));
  const closed = log.close();
  // Who opens now would get the number of a file that is closed too early.
  const others = await Promise.all([1, 2, 3, 4].map((n) => ours.open(join(directory, `other-${n}`), "ax", 0o600)));
  expect((await Promise.all(writes)).map((one) => one.bytesWritten)).toEqual(writes.map(() => megabyte.length));
  await Promise.all([closed, log.close()]);
  expect((await of_node.stat(path)).size).toBe(40 * megabyte.length);
  for (const other of others) {
    expect((await other.stat()).size).toBe(0);
    await other.close();
  }
  await expect(log.sync()).rejects.toThrow();
});

describe.each([
  ["Node's own", of_node as unknown as typeof ours],
  ["the host's", ours],
])("%s calls", (_whose, calls) => {
  test("open, write, read, tell, link, rename and remove", async () => {
    const at = (name: string) => join(directory, name);
    const file = await calls.open(at("a"), "wx+", 0o600);
    await file.writeFile("first\n");
    await file.appendFile("second\n");
    expect(await file.writev([Buffer.from("th"), Buffer.from("ird\n")])).toMatchObject({ bytesWritten: 6 });
    await file.datasync();
    await file.sync();
    const buffer = Buffer.alloc(6);
    expect(await file.read(buffer, 0, 6, 6)).toMatchObject({ bytesRead: 6 });
    expect(buffer.toString()).toBe("second");
    expect(Number((await file.stat()).mode) & 0o777).toBe(0o600);
    expect((await file.stat({ bigint: true })).size).toBe(19n);
    await file.close();
    await file.close();
    expect(file.fd).toBe(-1);
    await calls.link(at("a"), at("b"));
    await calls.rename(at("b"), at("c"));
    await calls.writeFile(at("d"), "x", { flag: "wx" });
    const again = await calls.open(at("c"), "r");
    expect(await again.readFile("utf8")).toBe("first\nsecond\nthird\n");
    await again.close();
    await calls.unlink(at("c"));
    await calls.rm(at("c"), { force: true });
    expect((await of_node.readdir(directory)).sort()).toEqual(["a", "d"]);
  });

  test("say why with the system's code", async () => {
    const gone = join(directory, "gone");
    await expect(calls.open(gone, "r")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(calls.lstat(gone)).rejects.toMatchObject({ code: "ENOENT", path: gone });
    await expect(calls.unlink(gone)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(calls.rename(gone, directory)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(calls.rm(gone, {})).rejects.toMatchObject({ code: "ENOENT" });
    await calls.writeFile(gone, "x", { flag: "wx" });
    await expect(calls.link(gone, gone)).rejects.toMatchObject({ code: "EEXIST" });
    await expect(calls.writeFile(gone, "x", { flag: "wx" })).rejects.toMatchObject({ code: "EEXIST" });
    const file = await calls.open(gone, "r");
    await expect(file.writeFile("x")).rejects.toMatchObject({ code: "EBADF" });
    await file.close();
  });
});
