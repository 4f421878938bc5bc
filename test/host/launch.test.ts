import { mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { LaunchSpec } from "../../src/contract/host-protocol.ts";
import { launch } from "../../src/host/launch.ts";
import type { Terminal } from "../../src/host/terminal.ts";

test("a prompt file that was swapped for a link between write and launch is not read: nothing is started", async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), "launch-")));
  await writeFile(join(dir, "outside"), "precious");
  await symlink(join(dir, "outside"), join(dir, "prompt"));
  const spec = {
    command: ["sh", "-c", `cat > ${dir}/read`],
    cwd: dir,
    env: {},
    mode: "headless",
    prompt_file: join(dir, "prompt"),
  } as unknown as LaunchSpec;
  await expect(
    launch(spec, { path: "/dev/null", master_fd: 5 } as Terminal, { stdout_path: null, cgroups: [], must_join: false }),
  ).rejects.toMatchObject({
    code: "out_of_place",
  });
  await rm(dir, { recursive: true });
});
