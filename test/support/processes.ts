/** Processes that a test knows by pid and start time, so that it can look for exactly them, and end exactly them. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { find_containment } from "../../src/containment/place.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive, process_ref_of } from "../../src/drivers/procfs.ts";
import { eventually, fixture, kill_if_there, type TestSupervisor } from "./supervisor.ts";

const found = find_containment("auto", `supervisor-test-${process.pid}`, { take: false });
/** What this machine offers: tests of what it does not offer are skipped. */
export const HAS_CGROUPS = found.seat !== null;
export const HAS_LIMITS = Object.values(found.limiters).every((one) => one !== null);
/** A directory of version 1 in which control groups can be made, or null. */
export const V1_PLACE = found.limiters.pids?.version === 1 ? found.limiters.pids.dir : null;
/** A directory in which control groups can be made, or "" where there is none. */
export const CGROUP_PLACE = found.seat?.dir ?? "";

/** Ends exactly this process, and waits until it is gone. */
export async function end_exactly(one: ProcessRef): Promise<void> {
  if (is_alive(one)) kill_if_there(one.pid);
  await eventually(`process ${one.pid} to be gone`, () => !is_alive(one));
}

/** Somebody else's process, which records every signal that it gets. */
export class Bystander {
  private constructor(
    readonly ref: ProcessRef,
    private readonly record: string,
  ) {}

  /** The command line of `records-signals`, like an agent's; its record is named by its environment alone. */
  static async start(supervisor: TestSupervisor, name: string): Promise<Bystander> {
    const record = join(supervisor.root, name);
    const child = spawn(fixture("records-signals"), [], {
      env: { PATH: process.env.PATH, RECORD: record },
      stdio: "ignore",
    });
    const bystander = new Bystander(process_ref_of(child.pid as number) as ProcessRef, record);
    // Also when the test fails before it comes to that.
    onTestFinished(() => bystander.end());
    await eventually(`${name} to be ready`, () => signals_of(record).startsWith("ready\n"));
    return bystander;
  }

  /** One that somebody else started, with this pid and record. */
  static async found(pid: number, record: string): Promise<Bystander> {
    await eventually(`${record} to be ready`, () => signals_of(record).startsWith("ready\n"));
    return new Bystander(process_ref_of(pid) as ProcessRef, record);
  }

  /** It lives, and nobody has signalled it. */
  expect_untouched(): void {
    expect(is_alive(this.ref), "the bystander lives").toBe(true);
    expect(signals_of(this.record), "the signals that the bystander got").toBe("ready\n");
  }

  async end(): Promise<void> {
    await end_exactly(this.ref);
  }
}

/** What `records-signals` has written: "ready", then the signals; empty before it runs. */
export function signals_of(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
