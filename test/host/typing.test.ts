import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { open_terminal } from "../../src/host/terminal.ts";

test("an agent that does not read its terminal is no reason to wait: more is refused, and it reads all that was taken when it does", async () => {
  const terminal = await open_terminal("headless", [80, 24]);
  try {
    const taken: Buffer[] = [];
    for (let n = 0; ; n++) {
      const line = Buffer.from(`${String(n).padStart(999, ".")}\n`);
      if (!terminal.type(line)) break;
      taken.push(line);
    }
    const typed = Buffer.concat(taken);
    expect(typed.length).toBeGreaterThan(64 * 1024);
    // The reader's end is the event: it has as many bytes as were taken.
    const reader = spawn("head", ["-c", String(typed.length)], { stdio: [terminal.slave_fd, "pipe", "inherit"] });
    expect((await buffer(reader.stdout as Readable)).equals(typed)).toBe(true);
    expect(terminal.type(Buffer.from("again"))).toBe(true);
  } finally {
    const closed = new Promise((resolve) => terminal.output.once("close", resolve));
    terminal.output.destroy();
    await closed;
    closeSync(terminal.slave_fd);
  }
  expect(terminal.type(Buffer.from("nobody"))).toBe(false);
});
