/** tmux and lsof as a start and `doctor` ask for their versions; those that do not answer are played by scripts. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lsof_version } from "../../src/drivers/lsof.ts";
import { tmux_version } from "../../src/drivers/tmux/server.ts";
import { processes_marked } from "../support/supervisor.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sv-version-"));
});
afterEach(() => rm(dir, { recursive: true }));

describe.each([
  ["lsof", lsof_version, "lsof_missing", /^\d/],
  ["tmux", tmux_version, "tmux_missing", /^tmux \S+$/],
] as const)("%s", (name, version, code, known) => {
  test.each([
    ["hangs", "sleep 1000 & sleep 1000", "did not answer in 400 ms"],
    ["is killed", "kill -9 $$", "was ended by SIGKILL"],
  ])(
    "that %s when it is asked for its version has none, with the reason, and leaves nothing",
    async (_what, script, reason) => {
      const program = join(dir, `fake-${name}`);
      await writeFile(program, `#!/bin/sh\nexport TEST_MARK=${dir}\n${script}\n`);
      await chmod(program, 0o755);
      await expect(version({ program, deadline_ms: 400 })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`${program} ${reason} when it was asked for its version`),
      });
      await expect.poll(() => processes_marked(dir), { timeout: 20_000 }).toEqual([]);
    },
  );

  test("of this machine has a version, and one that is not there has none", async () => {
    expect(await version()).toMatch(known);
    expect(await version({ program: join(dir, "nobody") })).toBeNull();
  });
});
