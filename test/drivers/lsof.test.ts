import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judge } from "../../src/daemon/verifier.ts";
import { lsof } from "../../src/drivers/lsof.ts";

test("lsof finds a holder with its descriptor and access, by inode, in a directory with an odd name", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv lsof ä-"));
  const canary = await open(join(dir, "canary"), "w");
  const held = await open(join(dir, "held\nfile"), "w");
  try {
    const { ino } = await canary.stat();
    const answer = await lsof([join(dir, "held\nfile")], { path: join(dir, "canary"), inode: ino, pid: process.pid });
    const found = judge("held", (await held.stat()).ino, answer, () => "other");
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
  try {
    const answer = await lsof([dir], { path: join(dir, "missing"), inode: 1, pid: process.pid });
    expect(judge("file", 7, answer, () => "other")).toMatchObject({ verdict: "unknown", holders: [] });
  } finally {
    await rm(dir, { recursive: true });
  }
});
