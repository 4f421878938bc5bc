/** Processes that hold a file, each in one of the ways that a program can. Ended, and waited for, when their test is over. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { realpathSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { load_leases, why_no_lease_on } from "../../src/drivers/lease.ts";
import { list_mounts, mount_of } from "../../src/drivers/mounts.ts";

const run = promisify(execFile);
/** The program of the thread that looks: tests run from the sources. */
export const LOOK_PROGRAM = fileURLToPath(new URL("../../dist/look-thread.cjs", import.meta.url));
/** Why leases cannot be had where the tests' files are (a container's overlay, say), or null. */
export const NO_LEASE = await why_no_lease();
const SOURCE = fileURLToPath(new URL("../fixtures/holders/holder.c", import.meta.url));

/** A descriptor (to read and write, to read, to write, to do neither, or of a path alone), a mapping without a descriptor, a thread whose leader ended. */
export const KINDS = ["open", "read", "write", "neither", "path", "map", "thread"] as const;
/** Besides: handed on all the time, in a thread's own table, with as many descriptors as may be, and on its way through a socket. */
export type Kind = (typeof KINDS)[number] | "hop" | "own-table" | "many" | "on-its-way";

async function why_no_lease(): Promise<string | null> {
  const leases = await load_leases();
  return typeof leases === "string" ? leases : why_no_lease_on(mount_of(list_mounts(), realpathSync(tmpdir())));
}

/** A directory of the test's own with the holder program, compiled; removed by the test. */
export async function holders_directory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "sv-holders-"));
  await run("cc", ["-o", join(dir, "holder"), SOURCE, "-lpthread"]);
  return dir;
}

/** Holds `file`; resolves when it does. */
export async function hold(dir: string, kind: Kind, file: string): Promise<ChildProcess> {
  return ready(spawn(join(dir, "holder"), [kind, file], { stdio: ["ignore", "pipe", "inherit"] }));
}

/** Holds `file` by running it: it becomes a copy of a program that waits. */
export async function hold_by_running(file: string): Promise<ChildProcess> {
  const { stdout } = await run("sh", ["-c", "command -v cat"]);
  await copyFile(stdout.trim(), file);
  await chmod(file, 0o700);
  const child = spawn(file, [], { stdio: ["pipe", "pipe", "inherit"] });
  // It answers: it is that program by now.
  child.stdin?.write("ready\n");
  return ready(child);
}

/** Holds `file` by having been started from it alone: no part of it is mapped any more, as with a packed program. */
export async function hold_by_having_run(dir: string, file: string): Promise<ChildProcess> {
  await copyFile(join(dir, "holder"), file);
  return ready(spawn(file, ["unmapped", file], { stdio: ["ignore", "pipe", "inherit"] }));
}

/** Holds `file` in a mount namespace of its own, in which its directory has another name. Needs root. */
export async function hold_elsewhere(dir: string, kind: Kind, file: string): Promise<ChildProcess> {
  const other = join(dir, `other-${process.hrtime.bigint()}`);
  await mkdir(other);
  const script = 'mount --bind "$1" "$2" && exec "$3" "$4" "$2/$5"';
  const words = ["-m", "sh", "-c", script, "sh", dirname(file), other, join(dir, "holder"), kind, basename(file)];
  return ready(spawn("unshare", words, { stdio: ["ignore", "pipe", "inherit"] }));
}

async function ready(child: ChildProcess): Promise<ChildProcess> {
  onTestFinished(() => let_go(child));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  await Promise.race([
    once(lines, "line"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`a holder ended with ${code} before it was ready`))),
  ]);
  return child;
}

/** Ends it. */
export async function let_go(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

export const remove_directory = (dir: string) => rm(dir, { recursive: true, force: true });
