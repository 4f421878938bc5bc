/** The workspace's lock when the wall clock jumps, when somebody changes or removes it, and when the disk refuses it. Clock and timers are the test's. */
import { mkdtemp, rm, stat, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { lock_workspace, type WorkspaceLock } from "../../src/daemon/lock.ts";

/** Longer than the daemon's time between two renewals (30 s). In ms. */
const RENEWAL_MS = 31_000;
const HOUR_MS = 3_600_000;

let workspace: string;
let lock: WorkspaceLock;
const lost = vi.fn();
const address = { socket: "/nowhere", runtime_dir: "/nowhere", version: "0" };
const renewed_at = async () => (await stat(join(workspace, ".lock"))).mtimeMs;
const another = () => lock_workspace(workspace, address, () => undefined);

beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), "sv-lock-"));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  lost.mockReset();
  lock = await lock_workspace(workspace, address, lost);
});
afterEach(async () => {
  await lock.release(false);
  vi.useRealTimers();
  await rm(workspace, { recursive: true });
});

/** Lets timers come due, and waits (in real time) until the lock's own file operations have been done. */
async function until_renewed(what: () => Promise<boolean>): Promise<void> {
  await vi.advanceTimersByTimeAsync(RENEWAL_MS);
  for (let turns = 0; turns < 10_000 && !(await what().catch(() => false)); turns++)
    await new Promise((resolve) => setImmediate(resolve));
  expect(await what()).toBe(true);
}

test.each([
  ["forward by a day", 24 * HOUR_MS],
  ["back by a day", -24 * HOUR_MS],
])(
  "a clock that is set %s loses nobody the workspace: the lock is renewed, and another daemon is still refused",
  async (_how, jump) => {
    vi.setSystemTime(Date.now() + jump);
    // Before the first renewal the lock looks very old, or comes from the future.
    await expect(another()).rejects.toMatchObject({ code: "daemon_running" });
    await until_renewed(async () => Math.abs((await renewed_at()) - Date.now()) < 2 * RENEWAL_MS);
    await expect(another()).rejects.toMatchObject({ code: "daemon_running" });
    expect(lost).not.toHaveBeenCalled();
  },
);

test("a lock whose time somebody changes, or that somebody removes, is taken again: the daemon goes on", async () => {
  await utimes(join(workspace, ".lock"), 1000, 1000);
  await until_renewed(async () => (await renewed_at()) !== 1_000_000);
  await rm(join(workspace, ".lock"), { recursive: true });
  await until_renewed(async () => (await renewed_at()) > 0);
  await until_renewed(async () => (await renewed_at()) > 0);
  await expect(another()).rejects.toMatchObject({ code: "daemon_running" });
  expect(lost).not.toHaveBeenCalled();
});

test("a daemon whose workspace is no more, or says that it is another's, is told so", async () => {
  await rm(join(workspace, "daemon.json"));
  await rm(join(workspace, ".lock"), { recursive: true });
  await vi.advanceTimersByTimeAsync(RENEWAL_MS);
  await vi.waitFor(() => expect(lost).toHaveBeenCalledWith(expect.stringContaining("daemon.json is gone")), 40_000);
});
