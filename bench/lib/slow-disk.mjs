// A disk that is slow by itself, the same for all systems: a file system in user space over the directory of a system's logs, whose every write and sync
// takes its time, one after the other. Needs root and /dev/fuse.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { in_time, on_clean_up, run_file } from "./undo.mjs";

const SERVER = fileURLToPath(new URL("../../test/fixtures/tools/faulty-fs.mjs", import.meta.url));

/** What a write, or a sync, takes: a disk with a head, or a network's, under load. In ms. */
export const SLOW_MS = 10;

/** Why there is no slow disk here, or null. */
export function no_slow_disk() {
  if (process.getuid() !== 0) return "only root may mount a file system in user space";
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    return `/dev/fuse cannot be opened (${error.code})`;
  }
}

/** Mounts one over a directory, which must not be in use. Answers what unmounts it. */
export async function slow_disk(directory) {
  const server = spawn(process.execPath, [SERVER, directory], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  let mounted = true;
  const unmount = async () => {
    if (!mounted) return;
    mounted = false;
    await unmounted(directory);
    await in_time(ended, () => "the slow file system's server to end");
  };
  on_clean_up(unmount);
  const ready = Promise.race([
    new Promise((resolve) => createInterface({ input: server.stdout }).once("line", resolve)),
    ended.then((code) => {
      mounted = false;
      throw new Error(`the slow file system's server ended with ${code}; may this user mount here?`);
    }),
  ]);
  await in_time(ready, () => "the slow file system to be mounted");
  await writeFile(join(directory, ".fault"), `write ${SLOW_MS}ms\nsync ${SLOW_MS}ms\n`);
  return unmount;
}

/** Whoever looks through /proc, or at the mounts, at this moment holds it for an instant. */
async function unmounted(directory) {
  for (let tries = 0; ; tries++) {
    try {
      await run_file("umount", [directory]);
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await delay(50);
    }
  }
}
