/** What is made of an lsof that is not well: never a verdict. The fakes are programs of the test's own; the answers they copy are the real one's. */
import { chmod, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { judge } from "../../src/daemon/verdict.ts";
import { lsof, parse_lsof } from "../../src/drivers/lsof.ts";
import { elsewhere, parse_mountinfo } from "../../src/drivers/mounts.ts";
import { processes_marked } from "../support/supervisor.ts";

let dir: string;
let canary: Awaited<ReturnType<typeof open>>;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sv-lsof-"));
  canary = await open(join(dir, "canary"), "w");
});
afterEach(async () => {
  await canary.close();
  await rm(dir, { recursive: true });
});

/** Asks a fake, which is a shell script; `$REAL` runs the real one. */
async function ask(script: string, deadline_ms = 40_000) {
  const program = join(dir, "fake-lsof");
  await writeFile(program, `#!/bin/sh\nREAL() { lsof "$@"; }\nexport TEST_MARK=${dir}\n${script}\n`);
  await chmod(program, 0o755);
  const began = performance.now();
  const path = join(dir, "canary");
  const { dev, ino } = await canary.stat({ bigint: true });
  const answer = await lsof(
    [path],
    { path, id: { device: dev, inode: ino }, pid: process.pid },
    { program, deadline_ms },
  );
  return {
    answer,
    verdict: judge("file", { device: 1n, inode: 7n }, answer, () => "other"),
    took_ms: performance.now() - began,
  };
}

test.each([
  ["fails with a part of its answer", 'REAL "$@"; exit 2', /exit 2/],
  ["complains with a part of its answer", 'REAL "$@"; echo "lsof: no memory" >&2; exit 1', /no memory/],
  ["is killed after its answer", 'REAL "$@"; kill -9 $$', /ended by SIGKILL/],
  ["prints garbage", "head -c 100000 /dev/urandom", /not what lsof writes|did not see/],
  ["prints garbage after its answer", 'REAL "$@"; echo garbage', /not what lsof writes/],
  ["is cut off within a line", 'REAL "$@" | head -c -3', /not what lsof writes/],
  ["is cut off between the fields of a file", 'REAL "$@" | head -n -1', /not what lsof writes/],
  ["says nothing", "exit 1", /did not see/],
  ["prints without end", "yes pn", /too long/],
])("an lsof that %s has no verdict: unknown, with the reason", async (_what, script, reason) => {
  const { verdict } = await ask(script);
  expect(verdict).toMatchObject({ verdict: "unknown", holders: [], reason: expect.stringMatching(reason) });
  await expect.poll(() => processes_marked(dir)).toEqual([]);
});

const GONE_MOUNT = `echo 'lsof: "-e /mnt/gone" is not a mounted file system.' >&2; exit 1`;

test("an lsof that is told of a mount which was unmounted meanwhile is asked again, with the mounts as they are by then", async () => {
  const { answer } = await ask(
    `touch ${dir}/refused; if [ "$(wc -l <${dir}/refused)" -lt 2 ]; then echo x >>${dir}/refused; ${GONE_MOUNT}; fi; REAL "$@"`,
  );
  expect(answer).toEqual({ ok: true, holders: [] });
  expect(await readFile(join(dir, "refused"), "utf8")).toBe("x\nx\n");
});

test("where file systems come and go all the time nobody can tell, and it is not asked for ever", async () => {
  const { verdict } = await ask(`echo x >>${dir}/asked; ${GONE_MOUNT}`);
  expect(verdict).toMatchObject({
    verdict: "unknown",
    reason: expect.stringContaining('"-e /mnt/gone" is not a mounted file system'),
  });
  expect(await readFile(join(dir, "asked"), "utf8")).toBe("x\n".repeat(4));
});

test("an lsof that is not there has no verdict", async () => {
  const path = join(dir, "canary");
  const answer = await lsof(
    [path],
    { path, id: { device: 1n, inode: 1n }, pid: process.pid },
    { program: join(dir, "no-lsof") },
  );
  expect(answer).toMatchObject({ ok: false, reason: expect.stringContaining("is not installed") });
});

test("an lsof that hangs is ended at its deadline with everything it started, though that holds its output open", async () => {
  const { verdict, took_ms } = await ask("sleep 1000 & trap '' TERM; sleep 1000", 400);
  expect(verdict).toMatchObject({ verdict: "unknown", reason: expect.stringContaining("did not answer in 400 ms") });
  expect(took_ms).toBeGreaterThanOrEqual(399);
  // Far from the 1000 s for which it would hang.
  expect(took_ms).toBeLessThan(20_000);
  // KILL has been sent; the kernel needs a moment.
  await expect.poll(() => processes_marked(dir)).toEqual([]);
});

test("the slow but well lsof has its verdict", async () => {
  const { verdict } = await ask('sleep 0.3; REAL "$@"');
  expect(verdict).toMatchObject({ verdict: "clear", reason: null });
});

test("a parser takes whole answers only", () => {
  expect(parse_lsof("p12\nccat\nLme\nf3\nar\ni7\nn/x\n")).toMatchObject([
    { pid: 12, command: "cat", fd: "3", inode: 7n },
  ]);
  expect(parse_lsof("")).toEqual([]);
  for (const broken of [
    "p12\nccat\nf3\nar\n",
    "p12\nccat\nf3\nar\nn/x",
    "f3\nn/x\n",
    "px\nf3\nn/x\n",
    "p12\n\nf3\nn/x\n",
    "n/x\n",
  ])
    expect(parse_lsof(broken), JSON.stringify(broken)).toBeNull();
});

test("only remote mounts on which none of the files can be are left out of the question", () => {
  const mounts = parse_mountinfo(
    [
      "21 1 254:0 / / rw - ext4 /dev/vda rw",
      "22 21 0:40 / /mnt/dead rw,relatime shared:1 - nfs4 server:/x rw",
      "23 21 0:41 / /mnt/work rw - nfs4 server:/w rw",
      "24 21 0:41 /sub /mnt/work\\040again rw - nfs4 server:/w rw",
      "25 21 0:42 / /home/me/s rw - fuse.sshfs me@x: rw",
      "26 25 254:1 / /home/me/s/deep rw - ext4 /dev/vdb rw",
      "27 21 0:43 / /tmp rw - tmpfs tmpfs rw",
    ].join("\n"),
  );
  expect(elsewhere(mounts, ["/tmp/a"])).toEqual(["/mnt/dead", "/mnt/work", "/mnt/work again", "/home/me/s"]);
  // The second mount is the same file system under another name: a holder may have come that way.
  expect(elsewhere(mounts, ["/tmp/a", "/mnt/work/b"])).toEqual(["/mnt/dead", "/home/me/s"]);
  // lsof takes everything below an exempted path for exempt.
  expect(elsewhere(mounts, ["/home/me/s/deep/c"])).toEqual(["/mnt/dead", "/mnt/work", "/mnt/work again"]);
});
