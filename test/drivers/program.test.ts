/** Programs are started where it is handled that they cannot be, do not read, print without end, or outlive whoever started them. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { expect, onTestFinished, test } from "vitest";
import { read_process } from "../../src/drivers/procfs.ts";
import { start_program } from "../../src/drivers/program.ts";

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL("../../src/drivers/program.ts", import.meta.url));

async function ended(...words: Parameters<typeof start_program>) {
  return (await start_program(...words)).ended;
}

test("what it reads and prints is whole, letters of several bytes too; its environment is what it is given", async () => {
  const text = `${"ä€😀".repeat(100_000)}\n`;
  expect(await ended("cat", [], { input: text })).toMatchObject({ stdout: text, exit_code: 0, error: null });
  const script = 'echo "$A $HOME"; echo no >&2; exit 3';
  expect(await ended("sh", ["-c", script], { env: { A: "a", PATH: process.env.PATH } })).toEqual({
    stdout: "a \n",
    stderr: "no\n",
    exit_code: 3,
    signal: null,
    too_long: false,
    error: null,
  });
});

test("one that is not there, or cannot be told its arguments, was not started, and says why", async () => {
  const { child, ended } = await start_program("there-is-no-such-program", []);
  expect(child.pid).toBeUndefined();
  expect(await ended).toMatchObject({ exit_code: null, error: { code: "ENOENT" } });
  expect(await (await start_program("true", ["a".repeat(3_000_000)])).ended).toMatchObject({
    exit_code: null,
    error: { code: "E2BIG" },
  });
});

test("one that does not read what it is told ends as ever", async () => {
  expect(await ended("true", [], { input: "x".repeat(1_000_000) })).toMatchObject({ exit_code: 0, error: null });
});

test("one that prints more than it may is killed, and who goes on printing for it is not waited for", async () => {
  const { child, ended } = await start_program("sh", ["-c", "yes & yes"], { max_bytes: 10_000, detached: true });
  const pid = child.pid as number;
  const { too_long, signal, stdout } = await ended;
  expect({ too_long, signal }).toEqual({ too_long: true, signal: "SIGKILL" });
  expect(stdout.length).toBeLessThanOrEqual(10_000);
  // The other one writes to a pipe that nobody has any more.
  await expect.poll(() => group_of(pid)).toEqual([]);
});

test("one in this process's own group is told to leave when this process exits, and one in its own is left", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-program-"));
  onTestFinished(() => rm(dir, { recursive: true }));
  await build({
    entryPoints: [SOURCE],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: join(dir, "program.mjs"),
  });
  await writeFile(
    join(dir, "leaves.mjs"),
    `import { start_program } from "./program.mjs";
    const options = [{ stdio: "ignore" }, { stdio: "ignore", detached: true }];
    const pids = [];
    for (const one of options) pids.push((await start_program("sleep", ["1000"], one)).child.pid);
    console.log(pids.join(" "));
    process.exit();`,
  );
  const { stdout } = await run(process.execPath, [join(dir, "leaves.mjs")]);
  const [ours, its_own] = stdout.split(" ").map(Number) as [number, number];
  try {
    await expect.poll(() => lives(ours)).toBe(false);
    expect(lives(its_own)).toBe(true);
  } finally {
    process.kill(its_own, "SIGKILL");
  }
});

const lives = (pid: number) => !["Z", "X", undefined].includes(read_process(pid)?.state);

async function group_of(pgrp: number): Promise<string[]> {
  const { stdout } = await run("ps", ["-eo", "pgid=,stat=,args="]);
  return stdout.split("\n").filter((line) => line.trim().startsWith(`${pgrp} `) && !/^\s*\d+ Z/.test(line));
}
