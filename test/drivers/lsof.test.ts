import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judge } from "../../src/daemon/verdict.ts";
import { type FileId, lsof, parse_lsof } from "../../src/drivers/lsof.ts";

async function id_of(handle: FileHandle): Promise<FileId> {
  const { dev, ino } = await handle.stat({ bigint: true });
  return { device: dev, inode: ino };
}

test("lsof finds a holder with its descriptor and access, by inode, in a directory with an odd name", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv lsof ä-"));
  const canary = await open(join(dir, "canary"), "w");
  const held = await open(join(dir, "held\nfile"), "w");
  try {
    const id = await id_of(canary);
    const answer = await lsof([join(dir, "held\nfile")], { path: join(dir, "canary"), id, pid: process.pid });
    const found = judge("held", await id_of(held), answer, () => "other");
    expect(found).toMatchObject({
      verdict: "held",
      holders: [{ pid: process.pid, access: "write", fd: String(held.fd) }],
    });
  } finally {
    await held.close();
    await canary.close();
    await rm(dir, { recursive: true });
  }
});

test("an answer without the canary is no answer: the verdict is unknown, never clear", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-lsof-"));
  const id = { device: 1n, inode: 7n };
  try {
    const answer = await lsof([dir], { path: join(dir, "missing"), id, pid: process.pid });
    expect(judge("file", id, answer, () => "other")).toMatchObject({ verdict: "unknown", holders: [] });
  } finally {
    await rm(dir, { recursive: true });
  }
});

const parsed = (text: string) => parse_lsof(text) ?? expect.fail("not an answer of lsof");

test("a holder of a file with the same inode number on another device holds nothing of ours; one whose device is not told may", () => {
  const answer = {
    ok: true as const,
    holders: parsed("p7\nccat\nLroot\nf3\nar\nD0x1a\ni42\nn/a\nf4\nar\nD0x1b\ni42\nn/b\n"),
  };
  const held_by = (device: bigint) =>
    judge("file", { device, inode: 42n }, answer, () => "other").holders.map((one) => one.fd);
  expect(held_by(0x1an)).toEqual(["3"]);
  expect(held_by(0x1bn)).toEqual(["4"]);
  expect(held_by(0x1cn)).toEqual([]);
  const untold = { ok: true as const, holders: parsed("p7\nccat\nLroot\nf5\nar\ni42\nn/c\n") };
  expect(judge("file", { device: 1n, inode: 42n }, untold, () => "other").verdict).toBe("held");
});
