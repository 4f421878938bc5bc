import { mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { daemon_info } from "../../src/contract/daemon-info.ts";
import { lock_workspace, state_of, this_place } from "../../src/daemon/lock.ts";
import { process_ref_of } from "../../src/drivers/procfs.ts";

const address = { socket: "/s", runtime_dir: "/r", version: "0" };
const here = this_place();
const ourselves = { ...(process_ref_of(process.pid) as { pid: number; start_time: number }), ...here, ...address };
/** The start time of no process: that of ours, a tick earlier. */
const gone = { ...ourselves, start_time: ourselves.start_time - 1 };
let workspace: string;
const lock = () => lock_workspace(workspace, address, () => {});
const write_info = (info: unknown) => writeFile(join(workspace, "daemon.json"), JSON.stringify(info));

beforeEach(async () => {
  workspace = await realpath(await mkdtemp(join(tmpdir(), "lock-")));
});
afterEach(() => rm(workspace, { recursive: true }));

test("a daemon is judged by boot id, pid namespace, pid and start time; the host's name decides nothing on this machine", () => {
  expect(state_of(ourselves)).toBe("alive");
  expect(state_of({ ...ourselves, hostname: "renamed" })).toBe("alive");
  expect(state_of(gone)).toBe("gone");
  expect(state_of({ ...gone, hostname: "renamed" })).toBe("gone");
  expect(state_of({ ...ourselves, boot_id: "before-the-restart" })).toBe("gone");
  expect(state_of({ ...ourselves, boot_id: "another", hostname: "another" })).toBe("elsewhere");
  expect(state_of({ ...gone, pid_namespace: "pid:[1]" })).toBe("elsewhere");
});

test("daemon.json of an older daemon, without a pid namespace, still counts", () => {
  const { pid_namespace: _not_yet, ...older } = ourselves;
  expect(state_of(daemon_info.parse(older))).toBe("alive");
});

test("a killed daemon's workspace is taken over at once, also after the machine was renamed", async () => {
  await write_info({ ...gone, hostname: "the-name-before" });
  await mkdir(join(workspace, ".lock"));
  const taken = await lock();
  expect(JSON.parse(await readFile(join(workspace, "daemon.json"), "utf8"))).toMatchObject({ pid: process.pid });
  await taken.release(false);
});

test("another machine's lock protects it while it is fresh, and the refusal says whose it is and what to do", async () => {
  await write_info({ ...ourselves, boot_id: "another", hostname: "other-machine" });
  await mkdir(join(workspace, ".lock"));
  await expect(lock()).rejects.toMatchObject({
    code: "daemon_running",
    message: expect.stringMatching(
      /'other-machine' \(pid \d+\), renewed its lock on .* \d+ s ago; stop it there, or.*remove .*\.lock and start again/,
    ),
  });
  // What was there is still there.
  expect((await stat(join(workspace, ".lock"))).isDirectory()).toBe(true);
});

test("another machine's lock that was not renewed for ten minutes, or was removed, is taken over", async () => {
  await write_info({ ...ourselves, boot_id: "another", hostname: "other-machine" });
  await mkdir(join(workspace, ".lock"));
  const long_ago = new Date(Date.now() - 11 * 60_000);
  await utimes(join(workspace, ".lock"), long_ago, long_ago);
  await (await lock()).release(true);
  await write_info({ ...ourselves, boot_id: "another", hostname: "other-machine" });
  await (await lock()).release(false);
});

test("a daemon.json that is a link is replaced, and what it led to is not touched", async () => {
  const outside = join(workspace, "outside.json");
  await writeFile(outside, JSON.stringify(ourselves));
  await symlink(outside, join(workspace, "daemon.json"));
  const taken = await lock();
  expect(await readFile(outside, "utf8")).toBe(JSON.stringify(ourselves));
  expect(JSON.parse(await readFile(join(workspace, "daemon.json"), "utf8"))).toMatchObject({ socket: "/s" });
  await taken.release(false);
  expect(await readFile(outside, "utf8")).toBe(JSON.stringify(ourselves));
});
