import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import type { HostRequest } from "../../src/contract/host-protocol.ts";
import { answer, type Host } from "../../src/host/requests.ts";
import { open_terminal } from "../../src/host/terminal.ts";
import { Typing } from "../../src/host/typing.ts";

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

test("whoever types into a terminal that takes nothing is told so, and each time anew", async () => {
  const fd = openSync("/dev/null", constants.O_RDONLY);
  const typing = new Typing(fd, () => false);
  const host = {
    options: { agent_id: "a-000000-aaaaaa" },
    life: { agent: { type: (data: Buffer) => typing.type(data) } },
  } as unknown as Host;
  const send = { type: "input", id: 1, data: "hello\n" } as HostRequest;
  try {
    for (let n = 0; n < 2; n++)
      await expect(answer(host, send)).rejects.toMatchObject({
        code: "host_failed",
        message: expect.stringMatching(/^the terminal of a-000000-aaaaaa did not take what was typed.*: EBADF/),
      });
    expect(typing.lost).toBeNull();
  } finally {
    closeSync(fd);
  }
});

test("what was taken and cannot be written later is told of, and what is typed after it is answered for itself", async () => {
  const dir = mkdtempSync(join(tmpdir(), "typing-"));
  const path = join(dir, "pipe");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const typing = new Typing(fd, () => false);
  try {
    // More than a pipe holds (64 KB): some of it waits.
    for (let n = 0; n < 2; n++) expect(typing.type(Buffer.alloc(60_000, "x"))).toBe(true);
    expect(typing.lost).toBeNull();
    closeSync(reader);
    await expect
      .poll(() => typing.lost, { timeout: 10_000 })
      .toMatch(/^of \d+ bytes that were typed and waited not all reached the terminal: EPIPE/);
    expect(typing.type(Buffer.from("again"))).toMatchObject({ code: "EPIPE" });
  } finally {
    closeSync(fd);
    rmSync(dir, { recursive: true });
  }
});
