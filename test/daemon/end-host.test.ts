/** Hosts that are to leave: processes of the test's own. One that the kernel holds is played by one that is frozen: KILL waits there as well. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { see_host_off } from "../../src/daemon/end-host.ts";
import { read_hierarchies } from "../../src/drivers/cgroup-hierarchies.ts";
import { is_alive, process_ref_of } from "../../src/drivers/procfs.ts";
import { needs } from "../support/disks.ts";
import { eventually } from "../support/supervisor.ts";

/** Where a group can be made whose members KILL does not reach while they are frozen (cgroup v1; a frozen v2 group lets them die). */
const FREEZER = read_hierarchies().find((one) => one.controllers.includes("freezer"))?.own;
const NO_FREEZER =
  FREEZER === undefined ? "no freezer of cgroup v1" : process.getuid?.() !== 0 ? "only root may freeze" : null;

let host: ChildProcess;
let ended: Promise<unknown>;
beforeEach(() => {
  host = spawn("sleep", ["1000"], { stdio: "ignore" });
  ended = once(host, "exit");
});
afterEach(async () => {
  host.kill("SIGKILL");
  await ended;
});

const ref = () => process_ref_of(host.pid as number) ?? expect.fail("the process has gone");

test("a host that leaves by itself is waited for", async () => {
  const seen_off = see_host_off(ref());
  host.kill("SIGTERM");
  await seen_off;
  expect(await ended).toEqual([null, "SIGTERM"]);
});

test("a host that stays is killed", async () => {
  const one = ref();
  await see_host_off(one);
  expect(is_alive(one)).toBe(false);
  expect(await ended).toEqual([null, "SIGKILL"]);
});

test.skipIf(NO_FREEZER)(
  needs(
    NO_FREEZER,
    "a host that the kernel holds is not taken for gone: that it was killed and is still there is said, with its pid",
  ),
  async () => {
    const one = ref();
    const group = join(FREEZER as string, `supervisor-test-end-host-${one.pid}`);
    const state = join(group, "freezer.state");
    mkdirSync(group);
    try {
      writeFileSync(join(group, "cgroup.procs"), String(one.pid));
      writeFileSync(state, "FROZEN");
      await eventually("the process to be frozen", () => readFileSync(state, "utf8").trim() === "FROZEN");
      await expect(see_host_off(one)).rejects.toMatchObject({
        code: "host_failed",
        message: expect.stringMatching(
          new RegExp(`^the host \\(pid ${one.pid}\\) was killed 5 s ago and is still there: the kernel holds it`),
        ),
      });
      expect(is_alive(one)).toBe(true);
    } finally {
      writeFileSync(state, "THAWED");
      host.kill("SIGKILL");
      await ended;
      rmdirSync(group);
    }
    expect(await ended).toEqual([null, "SIGKILL"]);
  },
  20_000,
);
