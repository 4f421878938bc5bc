import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { daemon_on, departure } from "../../src/cli/departure.ts";
import { boot_id, pid_namespace, process_ref_of } from "../../src/drivers/procfs.ts";

let child: ChildProcess;
let workspace: string;
beforeEach(() => {
  child = spawn("sleep", ["1000"], { stdio: "ignore" });
  workspace = mkdtempSync(join(tmpdir(), "departure-"));
});
afterEach(async () => {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }
  rmSync(workspace, { recursive: true });
});

const ref = () => process_ref_of(child.pid as number) ?? expect.fail("the process has gone");

test("a process that leaves is seen to leave, after it was said once what is waited for", async () => {
  const said: string[] = [];
  await departure(
    ref(),
    (text) => {
      said.push(text);
      child.kill("SIGTERM");
    },
    { say_after_ms: 0 },
  );
  expect(said).toEqual([expect.stringContaining(`the supervisor (pid ${child.pid}) finishes the ends under way`)]);
  expect(state_now()).toMatch(/^$|^[ZX]$/);
});

test("one that stays is given up with 'timeout', and is left alone", async () => {
  await expect(departure(ref(), () => {}, { give_up_ms: 50 })).rejects.toMatchObject({ code: "timeout" });
  // It may still be on its way to its sleep.
  await expect.poll(state_now).toBe("S");
});

test("who serves is known by boot, pid namespace and socket; of anybody else nothing is known", async () => {
  const info = { ...ref(), boot_id: boot_id(), pid_namespace: pid_namespace(), socket: "/run/x/d.sock" };
  const asked = async (text: string) => {
    writeFileSync(join(workspace, "daemon.json"), text);
    return daemon_on("/run/x/d.sock", workspace);
  };
  expect(await daemon_on("/run/x/d.sock", workspace)).toBeNull();
  expect(await asked(JSON.stringify(info))).toEqual(ref());
  for (const other of [{ boot_id: "x" }, { pid_namespace: "pid:[1]" }, { socket: "/run/y/d.sock" }, { pid: "1" }])
    expect(await asked(JSON.stringify({ ...info, ...other }))).toBeNull();
  expect(await asked("{")).toBeNull();
  expect(await asked("null")).toBeNull();
});

/** The state of the process (proc_pid_stat(5)), or "" when it has gone. */
function state_now(): string {
  try {
    return /^State:\s+(\w)/m.exec(readFileSync(`/proc/${child.pid}/status`, "latin1"))?.[1] ?? "";
  } catch {
    return "";
  }
}
