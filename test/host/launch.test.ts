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

/** A launch on /dev/null as its terminal. */
async function launch_with(env: Record<string, string>, command: string[], terminal_path = "/dev/null") {
  const spec = { command, cwd: "/", env, mode: "headless", prompt_file: "/dev/null" } as unknown as LaunchSpec;
  const terminal = { path: terminal_path, master_fd: 5 } as Terminal;
  return launch(spec, terminal, { stdout_path: null, cgroups: [], must_join: false });
}

test("a warning of the loader or the shell before the program runs is a note and no failure; exit codes stay the program's own", async () => {
  // The program is started by the shell that warns; its exit codes are those that shells use for what they could not run.
  for (const code of [0, 126, 127]) {
    const launched = await launch_with({ LD_PRELOAD: "/no/such/library.so" }, ["/bin/sh", "-c", `exit ${code}`]);
    expect(launched.notes).toEqual([
      expect.stringMatching(/^the shell that started the agent said: .*\/no\/such\/library\.so.* cannot be preloaded/),
    ]);
    expect(await launched.exited).toMatchObject({ code, signal: null });
  }
});

test("a shell that cannot put the program on its terminal is a failure, in the shell's words, and nothing ran", async () => {
  await expect(launch_with({}, ["/bin/true"], "/no/such/terminal")).rejects.toThrow("/no/such/terminal");
});
