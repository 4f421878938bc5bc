import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const run = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  new Promise<{ code: unknown; stderr: string }>((resolve) =>
    execFile(process.execPath, args, { env: { ...process.env, ...env } }, (error, _stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stderr }),
    ),
  );

describe("a clone that is not set up", () => {
  let clone: string;
  beforeEach(async () => {
    clone = await mkdtemp(join(tmpdir(), "clone-"));
    await mkdir(join(clone, "bin"));
    for (const name of ["scripts", "dist", "package.json", "package-lock.json"])
      await cp(join(ROOT, name), join(clone, name), { recursive: true });
  });
  afterEach(() => rm(clone, { recursive: true }));

  test.each([
    ["gyp ERR! stack FetchError: request to https://example.invalid/headers failed", "npm_config_nodedir"],
    ["gyp ERR! stack Error: not found: make", "a C++ compiler, make and python3"],
    ["npm error code ENOTFOUND", "the package registry cannot be reached"],
  ])("says in one sentence what to do when npm fails with: %s", async (said, advice) => {
    await writeFile(join(clone, "bin/npm"), `#!/bin/sh\necho "first line"\necho "${said}" >&2\nexit 1\n`);
    await chmod(join(clone, "bin/npm"), 0o755);
    const { code, stderr } = await run([join(clone, "scripts/setup.mjs")], {
      PATH: `${join(clone, "bin")}:${process.env.PATH}`,
      TMPDIR: clone,
    });
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n")).toEqual([
      "setup: installing packages (npm ci)…",
      expect.stringContaining(advice),
    ]);
    const [, path] = /all that npm said is in (\S+)/.exec(stderr) ?? [];
    expect(await readFile(path as string, "utf8")).toBe(`first line\n${said}\n`);
  });

  test("has a command that says so in one line", async () => {
    const { code, stderr } = await run([join(clone, "dist/supervisor.js"), "start", "--workspace", join(clone, "ws")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^supervisor: the package '.*' is not installed; run 'npm run setup' .*\n$/);
  });
});
