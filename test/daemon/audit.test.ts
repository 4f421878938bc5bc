import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Audit, type AuditResult, disputes_of } from "../../src/daemon/audit.ts";
import type { FileVerdict } from "../../src/daemon/verdict.ts";
import { Verifier } from "../../src/daemon/verifier.ts";
import { hold, holders_directory, KINDS, let_go, remove_directory } from "../support/holders.ts";
import { processes_marked } from "../support/supervisor.ts";

let dir: string;
beforeAll(async () => {
  dir = await holders_directory();
});
afterAll(() => remove_directory(dir));

let count = 0;
async function new_audit(): Promise<{ audit: Audit; told: AuditResult[] }> {
  const told: AuditResult[] = [];
  const audit = new Audit((result) => told.push(result));
  await audit.open(join(dir, `audit-${count++}`));
  onTestFinished(() => audit.close());
  return { audit, told };
}

/** A file with its verdict, which a look that finds nobody has given. */
async function cleared(): Promise<FileVerdict> {
  const path = join(dir, `file-${count++}`);
  await writeFile(path, Buffer.alloc(8192));
  const verifier = new Verifier(null);
  await verifier.open(join(dir, `canary-${count++}`), () => "other");
  const [verdict] = await verifier.verify([path]);
  await verifier.close();
  expect(verdict?.verdict).toBe("clear");
  return verdict as FileVerdict;
}

test.each(KINDS.filter((kind) => kind !== "thread"))(
  "a file that was removed as free and is held by the kind '%s' all the same is told, by whom",
  async (kind) => {
    const { audit, told } = await new_audit();
    const verdict = await cleared();
    const holder = await hold(dir, kind, verdict.path);
    await rm(verdict.path);
    audit.note([verdict], "an-agent");
    const result = await audit.run();
    expect(result).toEqual({
      verdicts: 1,
      failure: null,
      disputes: [{ path: verdict.path, agent_id: "an-agent", pid: holder.pid, command: "holder" }],
    });
    expect(told).toEqual([result]);
    // It has been looked over: the next one has nothing to do.
    await let_go(holder);
    expect(await audit.run()).toEqual({ verdicts: 0, disputes: [], failure: null });
    expect(told.length).toBe(1);
  },
);

test("verdicts that were right are looked over once, together, and nothing is told of them", async () => {
  const { audit, told } = await new_audit();
  const verdicts = [await cleared(), await cleared()];
  for (const { path } of verdicts) await rm(path);
  audit.note(verdicts, null);
  const [first, second] = await Promise.all([audit.run(), audit.run()]);
  expect(first).toEqual({ verdicts: 2, disputes: [], failure: null });
  expect(second).toBe(first);
  expect(told).toEqual([first]);
});

test("what was held or unknown, or was not there, is not looked over: nothing was removed on its word", async () => {
  const { audit, told } = await new_audit();
  const one = await cleared();
  audit.note(
    [
      { ...one, verdict: "held" },
      { ...one, verdict: "unknown" },
      { ...one, id: null },
    ],
    null,
  );
  expect(await audit.run()).toMatchObject({ verdicts: 0 });
  expect(told).toEqual([]);
});

test("a file that is still there may be opened by anybody", async () => {
  const { audit } = await new_audit();
  const verdict = await cleared();
  audit.note([verdict], null);
  const handle = await open(verdict.path);
  onTestFinished(() => handle.close());
  expect(await audit.run()).toEqual({ verdicts: 1, disputes: [], failure: null });
});

test("an inode number that another file has by now is nobody's fault", () => {
  const id = { device: 7n, inode: 42n };
  const due = [{ path: "/w/trash/a_stream.jsonl", id, agent_id: "a" }];
  const by = (path: string, device: bigint | null = 7n, fd = "3") =>
    disputes_of(due, {
      ok: true,
      holders: [{ pid: 9, command: "x", user: "u", fd, access: "read", path, device, inode: 42n }],
    });
  expect(by("/tmp/another (deleted)")).toEqual([]);
  expect(by("/w/trash/a_stream.jsonl (deleted)", 8n)).toEqual([]);
  expect(by("/w/trash/a_stream.jsonl (deleted)")).toMatchObject([{ pid: 9 }]);
  // Of a mapping the kernel's own number, which stat may not show.
  expect(by("/w/trash/a_stream.jsonl", 8n, "DEL")).toMatchObject([{ pid: 9 }]);
  // As another mount namespace, or a mapping, has it.
  expect(by("/elsewhere/a_stream.jsonl", null)).toMatchObject([{ pid: 9 }]);
});

/** Runs `work` with an lsof that is a shell script; `$REAL` runs the real one. */
async function with_lsof(script: string, work: (place: string) => Promise<void>): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), "sv-fake-lsof-"));
  const { PATH } = process.env;
  const text = `#!/bin/sh\nexport TEST_MARK=${place}\nREAL() { PATH='${PATH}' lsof "$@"; }\n${script.replaceAll("PLACE", place)}\n`;
  await writeFile(join(place, "lsof"), text, { mode: 0o755 });
  process.env.PATH = `${place}:${PATH}`;
  try {
    await work(place);
  } finally {
    process.env.PATH = PATH;
    await rm(place, { recursive: true });
  }
}

test("somebody who was found is not forgotten because the second look at him fails: the next audit tells of him", async () => {
  const { audit } = await new_audit();
  const verdict = await cleared();
  const holder = await hold(dir, "open", verdict.path);
  await rm(verdict.path);
  audit.note([verdict], null);
  const once = 'if mkdir PLACE/once 2>/dev/null; then REAL "$@"; else echo no memory >&2; exit 1; fi';
  await with_lsof(once, async () => {
    expect(await audit.run()).toMatchObject({
      verdicts: 1,
      disputes: [],
      failure: expect.stringContaining("no memory"),
    });
  });
  expect(await audit.run()).toMatchObject({ verdicts: 1, disputes: [{ pid: holder.pid }], failure: null });
});

test("an audit does not keep the supervisor from stopping: its lsof is ended", async () => {
  const halted = new AbortController();
  const audit = new Audit(() => undefined, halted.signal);
  await audit.open(join(dir, `audit-${count++}`));
  const verdict = await cleared();
  await rm(verdict.path);
  audit.note([verdict], null);
  await with_lsof("mkfifo PLACE/fifo; cat PLACE/fifo", async (place) => {
    const result = audit.run();
    await expect.poll(() => processes_marked(place).length).toBeGreaterThan(0);
    halted.abort();
    await audit.close();
    expect(await result).toMatchObject({ disputes: [], failure: "the supervisor is stopping; lsof was ended" });
    await expect.poll(() => processes_marked(place)).toEqual([]);
  });
});

test("verdicts that lsof could not look over wait for the next audit", async () => {
  const place = await mkdtemp(join(tmpdir(), "sv-no-lsof-"));
  const { audit } = await new_audit();
  const verdict = await cleared();
  await rm(verdict.path);
  audit.note([verdict], null);
  const { PATH } = process.env;
  process.env.PATH = place;
  try {
    expect(await audit.run()).toMatchObject({ verdicts: 1, failure: "lsof is not installed" });
  } finally {
    process.env.PATH = PATH;
    await rm(place, { recursive: true });
  }
  expect(await audit.run()).toEqual({ verdicts: 1, disputes: [], failure: null });
});
