/** File systems of a test's own, small, read-only, frozen or dead. They need root and mount(8); without, the tests that want them are skipped by name. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eventually, type TestSupervisor } from "./supervisor.ts";

const run = promisify(execFile);
const DEAD_FS = fileURLToPath(new URL("../fixtures/tools/dead-fs.mjs", import.meta.url));
const FAULTY_FS = fileURLToPath(new URL("../fixtures/tools/faulty-fs.mjs", import.meta.url));

/** Why no file system can be mounted here, or null. */
export const NO_MOUNT = why_not(["mount", "-t", "tmpfs", "none"]);
/** Why no file system can be frozen here, or null. */
export const NO_FREEZE =
  NO_MOUNT ??
  ["fsfreeze", "mkfs.ext4"].find((name) => spawnSync(name, ["-V"]).error)?.concat(" is not installed") ??
  (existsSync("/dev/loop-control") ? null : "there are no loop devices");
/** Why no user-space file system can be mounted here, or null. */
export const NO_FUSE = NO_MOUNT ?? (readable("/dev/fuse") ? null : "/dev/fuse cannot be opened");

/** A title that says why the test is skipped, where it is. */
export const needs = (reason: string | null, title: string) => (reason ? `${title} [skipped: ${reason}]` : title);

function why_not(command: string[]): string | null {
  if (process.getuid?.() !== 0) return "only root may mount";
  const dir = mkdtempSync(join(tmpdir(), "sv-mount-"));
  try {
    const tried = spawnSync(command[0] as string, [...command.slice(1), dir]);
    if (tried.status !== 0) return "mounting is not allowed here";
    // Whoever looks at all mounts at this moment holds it for an instant: it is out of the way all the same.
    spawnSync("umount", ["--lazy", dir]);
    return null;
  } finally {
    rmdirSync(dir);
  }
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export interface Disk {
  path: string;
  remount(options: string): Promise<void>;
}

/** A tmpfs of this size at a directory, which is made. It is unmounted at the test's end. */
export async function small_disk(supervisor: TestSupervisor, path: string, size: string): Promise<Disk> {
  await without_disk_floor(supervisor);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await run("mount", ["-t", "tmpfs", "-o", `size=${size},mode=700`, "none", path]);
  supervisor.at_end.push(() => unmount(path));
  return { path, remount: (options) => run("mount", ["-o", `remount,${options}`, path]).then(() => undefined) };
}

/** A disk that is smaller than the floor would take no agent. A config of the test's own stays. */
async function without_disk_floor({ root }: TestSupervisor): Promise<void> {
  const path = join(root, "supervisor.config.json");
  if (!existsSync(path)) await writeFile(path, JSON.stringify({ limits: { min_free_disk: 0 } }));
}

export interface FreezableDisk {
  path: string;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** An ext4 in a file, mounted at a directory, which is made. While it is frozen every write to it blocks, as on a dead network mount. */
export async function freezable_disk(supervisor: TestSupervisor, path: string): Promise<FreezableDisk> {
  const image = join(supervisor.root, `${path.replaceAll("/", "_")}.img`);
  await without_disk_floor(supervisor);
  await run("truncate", ["-s", "64M", image]);
  await run("mkfs.ext4", ["-q", "-F", image]);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await run("mount", ["-o", "loop", image, path]);
  await run("chmod", ["700", path]);
  let frozen = false;
  const thaw = async () => {
    if (frozen) await run("fsfreeze", ["-u", path]);
    frozen = false;
  };
  supervisor.at_end.push(async () => {
    await thaw();
    await unmount(path);
    await rm(image);
  });
  return {
    path,
    thaw,
    async freeze() {
      await run("fsfreeze", ["-f", path]);
      frozen = true;
    },
  };
}

export interface MortalDisk {
  path: string;
  /** Its one file. */
  file: string;
  die(): void;
  live(): void;
}

/** A user-space file system whose server can be stopped: then every stat, open and read of it waits, as on a dead network mount. */
export async function mortal_disk(supervisor: TestSupervisor, path: string): Promise<MortalDisk> {
  const server = await mount_fuse(supervisor, DEAD_FS, path);
  return {
    path,
    file: join(path, "file"),
    die: () => server.kill("SIGSTOP"),
    live: () => server.kill("SIGCONT"),
  };
}

export interface FaultyDisk {
  path: string;
  /** Each text is `OPERATION ERRNO PART`: reads, writes or syncs of files with this in their names fail so from now on. Without any all is well again. */
  fail(...faults: string[]): Promise<void>;
}

/** A user-space file system that fails as it is told, mounted at a directory, which is made. */
export async function faulty_disk(supervisor: TestSupervisor, path: string): Promise<FaultyDisk> {
  await without_disk_floor(supervisor);
  await mount_fuse(supervisor, FAULTY_FS, path);
  return { path, fail: (...faults) => writeFile(join(path, ".fault"), faults.join("\n")) };
}

async function mount_fuse(supervisor: TestSupervisor, program: string, path: string): Promise<ChildProcess> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const server = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    server.stdout.once("data", () => resolve());
    server.once("exit", (code) => reject(new Error(`the file system's server ended with ${code}`)));
  });
  supervisor.at_end.push(async () => {
    server.kill("SIGCONT");
    const ended = new Promise((resolve) => server.once("exit", resolve));
    await unmount(path);
    await ended;
  });
  return server;
}

/** Whoever scans /proc or the mounts at this moment holds it for an instant. */
export async function unmount(path: string): Promise<void> {
  let said = "";
  await eventually(`${path} to be unmounted`, () =>
    run("umount", [path]).then(
      () => true,
      (error: Error) => {
        said = error.message;
        return false;
      },
    ),
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${said}`);
  });
}

/** Puts a mounted directory over another one as well. Undone at the test's end. */
export async function over(supervisor: TestSupervisor, disk: string, dir: string): Promise<void> {
  await run("mount", ["--bind", disk, dir]);
  supervisor.at_end.push(() => unmount(dir));
}
