/** A lease says whether anybody has a file, and nothing where it cannot be relied on. */
import { execFile, spawnSync } from "node:child_process";
import { link, mkdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Leases, load_leases } from "../../src/drivers/lease.ts";
import { list_mounts } from "../../src/drivers/mounts.ts";
import { NO_MOUNT, needs, unmount } from "../support/disks.ts";
import {
  hold,
  hold_by_running,
  holders_directory,
  KINDS,
  type Kind,
  let_go,
  NO_LEASE,
  remove_directory,
} from "../support/holders.ts";

const run = promisify(execFile);
let dir: string;
let leases: Leases;
beforeAll(async () => {
  dir = await holders_directory();
  const loaded = await load_leases();
  if (typeof loaded !== "string") leases = loaded;
});
afterAll(() => remove_directory(dir));

let count = 0;
async function new_file(place = dir): Promise<string> {
  const path = join(place, `file-${count++}`);
  await writeFile(path, Buffer.alloc(8192));
  return path;
}

async function ask(path: string, witness = leases, while_held?: () => void) {
  const { dev, ino } = await stat(path, { bigint: true });
  return witness.ask(path, { device: dev, inode: ino }, list_mounts(), while_held);
}

const SEEN: readonly Kind[] = [
  ...KINDS.filter((kind) => kind !== "path" && kind !== "neither"),
  "own-table",
  "on-its-way",
];

test.each(SEEN)(
  "a lease is refused while somebody holds the file by '%s', and granted when nobody does",
  async (kind) => {
    const file = await new_file();
    const holder = await hold(dir, kind, file);
    expect(await ask(file)).toEqual({ answer: "refused" });
    await let_go(holder);
    expect(await ask(file)).toEqual({ answer: "granted" });
  },
);

test.skipIf(NO_LEASE).each(["path", "neither"] as const)(
  needs(
    NO_LEASE,
    "a descriptor that can neither read nor write (%s) is not seen: it must be looked for by other means",
  ),
  async (kind) => {
    const file = await new_file();
    await hold(dir, kind, file);
    expect(await ask(file)).toEqual({ answer: "granted" });
  },
);

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "a lease is refused while the file is run, and while it is held by a second name"),
  async () => {
    const [program, file] = [await new_file(), await new_file()];
    await hold_by_running(program);
    expect(await ask(program)).toEqual({ answer: "refused" });
    await link(file, `${file}-second`);
    await hold(dir, "read", `${file}-second`);
    expect(await ask(file)).toEqual({ answer: "refused" });
  },
);

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "whoever opens the file while the lease is held does not end this process"),
  async () => {
    const file = await new_file();
    let signals = 0;
    const heard = () => signals++;
    process.on("SIGURG", heard);
    onTestFinished(() => void process.off("SIGURG", heard));
    // It would not wait for the lease's end, so that this thread need not give it its turn.
    const answer = await ask(file, leases, () => {
      const opener = spawnSync("dd", [`if=${file}`, "iflag=nonblock", "count=0"], { encoding: "utf8" });
      expect(opener.stderr).toContain("Resource temporarily unavailable");
    });
    expect(answer).toEqual({ answer: "granted" });
    await expect.poll(() => signals).toBeGreaterThan(0);
    expect(await ask(file)).toEqual({ answer: "granted" });
  },
);

test.skipIf(NO_LEASE)(
  needs(
    NO_LEASE,
    "what is not the file that was asked for is not answered: another in its place, a link, a pipe, nothing",
  ),
  async () => {
    const [file, other] = [await new_file(), await new_file()];
    const { dev, ino } = await stat(other, { bigint: true });
    const id = { device: dev, inode: ino };
    const impossible = (reason: string) => ({ answer: "impossible", reason: expect.stringContaining(reason) });
    expect(leases.ask(file, id, list_mounts())).toEqual(impossible("another file is in its place"));
    await symlink(other, `${file}-link`);
    expect(leases.ask(`${file}-link`, id, list_mounts())).toEqual(impossible("ELOOP"));
    await run("mkfifo", [`${file}-pipe`]);
    expect(await ask(`${file}-pipe`)).toEqual(impossible("another file is in its place"));
    await rm(file);
    expect(leases.ask(file, id, list_mounts())).toEqual(impossible("ENOENT"));
  },
);

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "a witness that is blind, or that sees what is not there, is not believed"),
  async () => {
    const file = await new_file();
    const errors = { EAGAIN: 11, EINVAL: 22 };
    const says = (error: number) => new Leases((_fd, command) => (command === 1024 ? error : 0));
    expect(await ask(file, says(0))).toMatchObject({
      answer: "impossible",
      reason: expect.stringContaining("granted while"),
    });
    expect(await ask(file, says(errors.EAGAIN))).toMatchObject({
      answer: "impossible",
      reason: expect.stringContaining("even on a file that nobody has"),
    });
    expect(await ask(file, says(errors.EINVAL))).toMatchObject({
      answer: "impossible",
      reason: expect.stringContaining("EINVAL"),
    });
  },
);

test.skipIf(NO_MOUNT ?? NO_LEASE)(
  needs(
    NO_MOUNT ?? NO_LEASE,
    "on an overlay, where who has the file of a layer open is not seen, no lease is asked for",
  ),
  async () => {
    const place = join(dir, `overlay-${count++}`);
    for (const name of ["", "lower", "upper", "work", "mnt"]) await mkdir(join(place, name));
    const at = (name: string) => join(place, name);
    const layers = `lowerdir=${at("lower")},upperdir=${at("upper")},workdir=${at("work")}`;
    await run("mount", ["-t", "overlay", "-o", layers, "none", at("mnt")]);
    onTestFinished(() => unmount(at("mnt")));
    const file = await new_file(at("mnt"));
    expect(await ask(file)).toEqual({
      answer: "impossible",
      reason: "a lease is not trusted on this file system (overlay)",
    });
    // The other way around it is: who has it open by the overlay has the layer's file open.
    const below = file.replace(at("mnt"), at("upper"));
    const holder = await hold(dir, "read", file);
    expect(await ask(below)).toEqual({ answer: "refused" });
    await let_go(holder);
    expect(await ask(below)).toEqual({ answer: "granted" });
  },
);
