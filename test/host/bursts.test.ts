import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Bursts } from "../../src/host/bursts.ts";

// A pipe: what is written into it can be read at once, while a terminal's bytes are moved by a worker of the kernel when that has its turn.
let fd: number;
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), "bursts-"));
  execFileSync("mkfifo", [join(dir, "pipe")]);
  fd = openSync(join(dir, "pipe"), constants.O_RDWR | constants.O_NONBLOCK);
  rmSync(dir, { recursive: true });
});
afterEach(() => closeSync(fd));

/** 10 to 20 KB. */
const text = (seed: string) => Buffer.from(Array.from({ length: 2000 }, (_, at) => `${seed}${at}\n`).join(""));

/** As much as one read of a terminal gives. */
function first_read(): Buffer {
  const all = Buffer.alloc(4095);
  return all.subarray(0, readSync(fd, all, 0, all.length, null));
}

describe("a burst", () => {
  test("has all that the kernel holds beyond the first read, in order", () => {
    const printed = text("a");
    writeSync(fd, printed);
    const first = first_read();
    const burst = new Bursts(fd).after(first);
    expect(Buffer.concat([first, burst?.bytes as Buffer]).equals(printed)).toBe(true);
  });

  test("is not looked for after a short read: a line costs no second look", () => {
    writeSync(fd, "more");
    expect(new Bursts(fd).after(Buffer.from("a line\n"))).toBeNull();
    expect(first_read().toString()).toBe("more");
  });

  test("is none when the kernel has nothing more", () => {
    expect(new Bursts(fd).after(Buffer.alloc(4095))).toBeNull();
  });

  test("uses its memory again only when that was given back", () => {
    const bursts = new Bursts(fd);
    const next = (seed: string) => {
      writeSync(fd, text(seed));
      const burst = bursts.after(first_read());
      if (!burst) throw new Error("no burst");
      return burst;
    };
    const one = next("one");
    const said = one.bytes.toString();
    const two = next("two");
    expect(two.bytes.buffer).not.toBe(one.bytes.buffer);
    expect(one.bytes.toString()).toBe(said);
    one.release();
    expect(next("three").bytes.buffer).toBe(one.bytes.buffer);
  });
});
