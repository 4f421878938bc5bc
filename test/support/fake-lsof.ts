/** An lsof of the test's own on the daemon's PATH, on which there is no other. */
import { execFile } from "node:child_process";
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestSupervisor } from "./supervisor.ts";

const PROGRAMS = "sh tmux cat head sleep tail mkfifo";

export interface FakeLsof {
  /** Makes it this shell script, in which `lsof_really` is the real one; marked as the test's. */
  becomes(script: string): Promise<void>;
  missing(): Promise<void>;
  well(): Promise<void>;
}

/** Must be called before the daemon is booted. */
export async function fake_lsof(supervisor: TestSupervisor): Promise<FakeLsof> {
  const bin = join(supervisor.root, "bin");
  const place = join(bin, "lsof");
  await mkdir(bin);
  const run = promisify(execFile);
  const real = (await run("sh", ["-c", "command -v lsof"])).stdout.trim();
  // Links to what is needed, so that lsof can be missing.
  await run("sh", ["-c", `for name in ${PROGRAMS}; do ln -s "$(command -v $name)" "${bin}/$name"; done`]);
  supervisor.env.PATH = bin;
  const becomes = async (script: string) => {
    const text = `#!/bin/sh\nexport TEST_MARK=${supervisor.root}\nlsof_really() { ${real} "$@"; }\n${script}\n`;
    await writeFile(`${place}.new`, text);
    await chmod(`${place}.new`, 0o755);
    await rename(`${place}.new`, place);
  };
  const fake = {
    becomes,
    missing: () => rm(place),
    well: () => becomes('lsof_really "$@"'),
  };
  await fake.well();
  return fake;
}
