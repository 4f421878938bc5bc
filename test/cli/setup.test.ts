import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// Setup is no TypeScript: it runs before anything is built.
const { headers_beside }: { headers_beside: (exec_path: string, version: string) => string | null } = await import(
  new URL("../../scripts/setup/headers.mjs", import.meta.url).href
);

const run = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  new Promise<{ code: unknown; stderr: string }>((resolve) =>
    execFile(process.execPath, args, { env: { ...process.env, ...env } }, (error, _stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stderr }),
    ),
  );

test("headers count only where all that is needed is there, of exactly this version", async () => {
  const prefix = await mkdtemp(join(tmpdir(), "node-"));
  try {
    const include = join(prefix, "include/node");
    const found = () => headers_beside(join(prefix, "bin/node"), "20.19.0");
    expect(found()).toBeNull();
    await mkdir(include, { recursive: true });
    const version = (patch: number) =>
      `#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 19\n#define NODE_PATCH_VERSION ${patch}\n`;
    await writeFile(join(include, "node_version.h"), version(0));
    for (const name of ["node.h", "common.gypi"]) await writeFile(join(include, name), "");
    expect(found()).toBeNull();
    await writeFile(join(include, "config.gypi"), "");
    expect(found()).toBe(prefix);
    await writeFile(join(include, "node_version.h"), version(1));
    expect(found()).toBeNull();
  } finally {
    await rm(prefix, { recursive: true });
  }
});

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
    ["gyp ERR! stack is related to network connectivity. In most cases", "npm_config_nodedir"],
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

  test.each([
    ["the headers beside this Node, if it has them", undefined],
    ["the headers that the user names", "/srv/node"],
  ])("has node-pty compiled with %s", async (_which, named) => {
    await writeFile(join(clone, "bin/npm"), '#!/bin/sh\necho "nodedir is $npm_config_nodedir."\nexit 1\n');
    await chmod(join(clone, "bin/npm"), 0o755);
    const { stderr } = await run([join(clone, "scripts/setup.mjs")], {
      PATH: `${join(clone, "bin")}:${process.env.PATH}`,
      TMPDIR: clone,
      npm_config_nodedir: named,
    });
    const [, path] = /all that npm said is in (\S+)/.exec(stderr) ?? [];
    const beside = headers_beside(process.execPath, process.versions.node) ?? "";
    expect(await readFile(path as string, "utf8")).toBe(`nodedir is ${named ?? beside}.\n`);
  });

  test("has a package that was removed put back, though all else is as setup left it; an optional one may be missing", async () => {
    const packages = { "node_modules/node-pty": {}, "node_modules/gone": {}, "node_modules/never": { optional: true } };
    await writeFile(join(clone, "package-lock.json"), JSON.stringify({ packages }));
    const made =
      "node_modules/node-pty/build/Release/pty.node node_modules/node-pty/package.json node_modules/gone/package.json";
    await writeFile(
      join(clone, "bin/npm"),
      `#!/bin/sh\necho called >> calls\nfor path in ${made}; do mkdir -p "\${path%/*}" && : > "$path"; done\n`,
    );
    await chmod(join(clone, "bin/npm"), 0o755);
    const calls_after_setup = async () => {
      await run([join(clone, "scripts/setup.mjs")], { PATH: `${join(clone, "bin")}:${process.env.PATH}` });
      return (await readFile(join(clone, "calls"), "utf8")).split("\n").length - 1;
    };
    expect(await calls_after_setup()).toBe(1);
    expect(await calls_after_setup()).toBe(1);
    await rm(join(clone, "node_modules/gone"), { recursive: true });
    expect(await calls_after_setup()).toBe(2);
  });

  test("has a command that says so in one line", async () => {
    const { code, stderr } = await run([join(clone, "dist/supervisor.js"), "start", "--workspace", join(clone, "ws")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^supervisor: the package '.*' is not installed; run 'npm run setup' .*\n$/);
  });
});
