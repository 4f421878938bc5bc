/** The thread that looks keeps nobody from anything: not when there is much to look at, not when it hangs, not when it dies. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, open, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { LookThread } from "../../src/drivers/look-thread.ts";
import type { FileId } from "../../src/drivers/lsof.ts";
import { hold, holders_directory, LOOK_PROGRAM, remove_directory } from "../support/holders.ts";
import { eventually } from "../support/supervisor.ts";

const run = promisify(execFile);
const tool = (name: string) => fileURLToPath(new URL(`../fixtures/tools/${name}`, import.meta.url));
let dir: string;
beforeAll(async () => {
  dir = await holders_directory();
});
afterAll(() => remove_directory(dir));

async function new_file(name: string) {
  const path = join(dir, name);
  await writeFile(path, Buffer.alloc(8192));
  const { dev, ino } = await stat(path, { bigint: true });
  return { path, id: { device: dev, inode: ino } };
}

function thread(options: ConstructorParameters<typeof LookThread>[0]): LookThread {
  const one = new LookThread(options);
  onTestFinished(() => one.close());
  return one;
}

test("while a process with thousands of descriptors is looked at, other work of the daemon has its turns", async () => {
  const { path, id } = await new_file("many");
  const holder = await hold(dir, "many", path);
  const looking = thread({ program: LOOK_PROGRAM });
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  onTestFinished(() => clearInterval(count));
  // On a loaded machine the one thread may have a processor for all of a look, and the other none; a look that held this one up would never leave it a turn.
  const look = await eventually("turns during a look", async () => {
    turns = 0;
    const one = await looking.look([id]);
    return turns > 1 ? one : null;
  });
  const matches = look.ok ? look.matches.filter(({ pid }) => pid === holder.pid) : [];
  // However many descriptors: it is one file under one name.
  expect(matches).toMatchObject([{ inode: id.inode, path, mapped: false, in_thread: false }]);
  expect(await looking.again(matches)).toEqual(matches);
});

test("a process that does not let itself be looked at keeps nobody for long: there is no look until it does, and then there is one", async () => {
  const { id } = await new_file("stuck");
  const looking = thread({ program: tool("stuck-look-thread.cjs"), patience_ms: 300 });
  looking.warm();
  const gate = (looking as unknown as { seen: Int32Array }).seen;
  await expect.poll(() => Atomics.load(gate, 1)).toBe(4711);
  const first = looking.look([id]);
  const second = looking.look([id]);
  const failed = { ok: false, reason: "process 4711 does not let itself be looked at" };
  expect(await first).toEqual(failed);
  // Nobody waits for it again.
  expect(await second).toEqual(failed);
  expect(await looking.look([id])).toEqual(failed);
  expect(await looking.again([])).toBeNull();
  Atomics.store(gate, 1, 0);
  Atomics.notify(gate, 1);
  await expect.poll(() => looking.look([id])).toEqual({ ok: true, matches: [], ask_about: [] });
});

test("a thread that goes on from process to process is waited for, however long it takes", async () => {
  const { id } = await new_file("slow");
  const looking = thread({ program: tool("slow-look-thread.cjs"), patience_ms: 2_000 });
  expect(await looking.look([id])).toEqual({ ok: true, matches: [], ask_about: [] });
});

test("a thread that dies answers nobody falsely, and the next question has a new one", async () => {
  const { id } = await new_file("dead");
  const looking = thread({ program: LOOK_PROGRAM });
  expect(await looking.look([id])).toMatchObject({ ok: true });
  const asked = looking.look([id]);
  await (looking as unknown as { worker: { terminate(): Promise<number> } }).worker.terminate();
  // It may have answered before.
  expect([true, "the thread that looks ended (exit 1)"]).toContainEqual(
    await asked.then((look) => look.ok || look.reason),
  );
  expect(await looking.look([id])).toMatchObject({ ok: true });
  const missing = thread({ program: join(dir, "nobody.cjs") });
  expect(await missing.look([id])).toMatchObject({
    ok: false,
    reason: expect.stringContaining("the thread that looks ended"),
  });
});

test("after its end nobody is answered, and nobody waits", async () => {
  const { id } = await new_file("over");
  const looking = thread({ program: LOOK_PROGRAM });
  const asked = looking.look([id]);
  await looking.close();
  expect(await asked).toEqual({ ok: false, reason: "the supervisor is stopping" });
  expect(await looking.look([id])).toEqual({ ok: false, reason: "the supervisor is stopping" });
});

test.each([
  ["while it is still being loaded", async () => {}],
  ["while it looks", async (looking: LookThread, id: FileId) => void looking.look([id])],
  ["after it has looked", (looking: LookThread, id: FileId) => looking.look([id])],
])(
  "%s a thread ends by itself when it is asked to: nothing ends it in the middle of native code",
  async (_when, first) => {
    const { id } = await new_file("asked");
    const looking = new LookThread({ program: LOOK_PROGRAM });
    looking.warm();
    const { worker } = looking as unknown as { worker: Worker };
    await first(looking, id);
    const gone = once(worker, "exit");
    await looking.close();
    // One that is ended from outside has 1.
    expect(await gone).toEqual([0]);
  },
);

test("a thread that waits in the kernel does not keep its end waiting for ever, even if it was not known to hang", async () => {
  const { id } = await new_file("blocked");
  const program = join(dir, "blocked-look-thread.cjs");
  await copyFile(tool("blocked-look-thread.cjs"), program);
  const gate = join(dir, "look-gate");
  await run("mkfifo", [gate]);
  const looking = new LookThread({ program });
  const asked = looking.look([id]);
  const { seen, worker } = looking as unknown as { seen: Int32Array; worker: Worker };
  const gone = once(worker, "exit");
  try {
    await expect.poll(() => Atomics.load(seen, 1)).toBe(4711);
    await looking.close();
    expect(await asked).toEqual({ ok: false, reason: "the supervisor is stopping" });
  } finally {
    // Whoever opens a FIFO to read and write waits for nobody, and frees who waits to read.
    const opened = await open(gate, "r+");
    await gone;
    await opened.close();
  }
});

test("where the package for leases is missing, the look is without them, and says why", async () => {
  const { path, id } = await new_file("alone");
  const program = join(dir, "look-thread.cjs");
  await copyFile(LOOK_PROGRAM, program);
  const holder = await hold(dir, "map", path);
  const look = await thread({ program }).look([{ ...id, lease_by: path }]);
  expect(look).toMatchObject({ ok: true, matches: [{ pid: holder.pid, mapped: true }] });
  expect(look.ok && look.leases?.get(path)).toEqual({
    answer: "impossible",
    reason: expect.stringMatching(/^koffi cannot be loaded: Cannot find package/),
  });
});

test("a process that ends by an error that nobody caught says it, though it leaves past a thread that is at work", async () => {
  const home = await mkdtemp(join(dir, "uncaught-"));
  const bundle = join(home, "look-thread.mjs");
  const entry = fileURLToPath(new URL("../../src/drivers/look-thread.ts", import.meta.url));
  await build({ entryPoints: [entry], outfile: bundle, bundle: true, platform: "node", format: "esm" });
  // For koffi.
  await symlink(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(home, "node_modules"));
  const script = `
    import { LookThread } from ${JSON.stringify(bundle)};
    new LookThread({ program: ${JSON.stringify(tool("stuck-look-thread.cjs"))} }).look([]);
    throw new Error("nobody catches this");`;
  const ran = await run(process.execPath, ["--input-type=module", "-e", script]).catch((error) => error);
  expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining("Error: nobody catches this") });
});
