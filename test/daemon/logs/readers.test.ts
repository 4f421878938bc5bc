import { getEventListeners } from "node:events";
import { appendFileSync, readdirSync, readlinkSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { lstat, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { position_of_last, position_of_last_lines } from "../../../src/daemon/logs/last-lines.ts";
import type { LogReader } from "../../../src/daemon/logs/log-reader.ts";
import { LogReaders } from "../../../src/daemon/logs/readers.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return { ...real, lstat: vi.fn(real.lstat) };
});

test("the last lines of a file are found from its end, with and without a final newline", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-tail-"));
  const path = join(dir, "log");
  const at = async (text: string, count: number) => {
    await writeFile(path, text);
    return text.slice((await position_of_last_lines(path, count)).position);
  };
  try {
    expect(await at("a\nb\nc\n", 2)).toBe("b\nc\n");
    expect(await at("a\nb\nc", 2)).toBe("b\nc");
    expect(await at("a\nb\n", 5)).toBe("a\nb\n");
    expect(await at("a\n", 0)).toBe("");
    expect(await at("", 3)).toBe("");
    const long = Array.from({ length: 50_000 }, (_, i) => `${i}\n`).join("");
    expect(await at(long, 20_000)).toBe(long.slice(long.indexOf("\n30000\n") + 1));
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("the last lines of bytes that cannot be read backwards are the same ones", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-tail-"));
  const path = join(dir, "log");
  const long = Array.from({ length: 500 }, (_, i) => `${i}\n`).join("");
  try {
    for (const text of ["", "a", "a\n", "a\nb", "a\n\nb\n\n", "\n\n\n", long, `${long}x`])
      for (const count of [0, 1, 2, 3, 7, 499, 500, 501, 1000])
        for (const size of [1, 3, 64 * 1024]) {
          await writeFile(path, text);
          const bytes = Buffer.from(text);
          const chunks = async function* () {
            for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
          };
          const { position } = await position_of_last_lines(path, count);
          expect(await position_of_last(chunks(), count), JSON.stringify([text.slice(0, 9), count, size])).toBe(
            position,
          );
        }
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("the last lines of a sparse 10 GB file are found without reading it", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-tail-"));
  const handle = await open(join(dir, "log"), "w");
  try {
    const tail = "\none\ntwo\n";
    await handle.write(tail, 10_000_000_000);
    expect(await position_of_last_lines(join(dir, "log"), 2)).toEqual({ position: 10_000_000_001, lines: 2 });
  } finally {
    await handle.close();
    await rm(dir, { recursive: true });
  }
});

test("a file that is moved between the look and the opening is looked for anew; one that never is where it is said to be has a code", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-readers-"));
  const path = join(dir, "a_stream.jsonl");
  const readers = new LogReaders();
  const signal = new AbortController().signal;
  try {
    await writeFile(path, "x\n");
    let looks = 0;
    // The same place twice: it was there at both looks, and moved after each.
    const find = async () => (++looks < 4 ? join(dir, "elsewhere") : path);
    const reader = await readers.open("a", find, signal);
    expect(looks).toBe(4);
    await reader.let_go();
    await expect(readers.open("a", async () => join(dir, "nowhere_stream.jsonl"), signal)).rejects.toMatchObject({
      code: "log_not_found",
      message: "nowhere_stream.jsonl was moved while it was read; ask again",
    });
    expect(getEventListeners(signal, "abort")).toEqual([]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("a read that has to let go before its end is no whole read", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-readers-"));
  const path = join(dir, "log");
  const readers = new LogReaders();
  const signal = new AbortController().signal;
  try {
    await writeFile(path, "x".repeat(200_000));
    for (const chunks of [readers.read("a", path, 0, signal), readers.read_backwards("a", path, signal)]) {
      expect((await chunks.next()).done).toBe(false);
      await readers.without("a", async () => undefined);
      await expect(chunks.next()).rejects.toMatchObject({ code: "log_not_found" });
    }
    let bytes = 0;
    for await (const chunk of readers.read_backwards("a", path, signal)) bytes += chunk.length;
    expect(bytes).toBe(200_000);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("a request that reads many parts leaves nothing at its signal, and one that is given up lets go", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-readers-"));
  const path = join(dir, "log");
  await writeFile(path, "x\n");
  const readers = new LogReaders();
  const request = new AbortController();
  try {
    for (let part = 0; part < 20; part++) {
      const reader = await readers.open("a", async () => path, request.signal);
      expect(getEventListeners(request.signal, "abort")).toHaveLength(1);
      await reader.let_go();
      expect(getEventListeners(request.signal, "abort")).toEqual([]);
    }
    const last = await readers.open("a", async () => path, request.signal);
    request.abort();
    await last.closed;
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("while an agent's files are dealt with nobody holds them: those who read let go, those who come wait", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-readers-"));
  const path = join(dir, "log");
  const moved = join(dir, "moved");
  const readers = new LogReaders();
  const never = new AbortController().signal;
  try {
    await writeFile(path, "x".repeat(200_000));
    const reader = await readers.open("a", async () => path, never);
    const chunks = reader.chunks(0, true);
    // One chunk is taken; nobody asks for the next.
    expect((await chunks.next()).value).toHaveLength(65_536);
    let late: Promise<LogReader> | null = null;
    await readers.without("a", async () => {
      late = readers.open("a", async () => moved, never);
      expect(held(path)).toBe(false);
      await rename(path, moved);
      expect(held(moved)).toBe(false);
    });
    expect(await chunks.next()).toEqual({ done: true, value: undefined });
    expect(reader.complete).toBe(false);
    const second = await (late as unknown as Promise<LogReader>);
    expect(held(moved)).toBe(true);
    await second.let_go();
    expect(held(moved)).toBe(false);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("a client that goes away while it waits, or while it reads, leaves no file open", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-readers-"));
  const path = join(dir, "log");
  const readers = new LogReaders();
  const client = new AbortController();
  try {
    await writeFile(path, "x");
    const reader = await readers.open("a", async () => path, client.signal);
    const waiting = readers.without("a", async () => {
      const late = readers.open("a", async () => path, client.signal);
      client.abort();
      await expect(late).rejects.toMatchObject({ code: "timeout" });
    });
    await reader.let_go();
    await waiting;
    await expect(readers.open("a", async () => path, client.signal)).rejects.toMatchObject({ code: "timeout" });
    expect(held(path)).toBe(false);
  } finally {
    await rm(dir, { recursive: true });
  }
});

/** True when this process has the file open. */
function held(path: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  });
}

/** A log of one line, and what is done to it each time that a reader has come to its end and looks whether it was rotated. */
async function read_while(
  follow: boolean,
  ...done: ((path: string) => void)[]
): Promise<{ text: string; replaced: boolean }> {
  const dir = await mkdtemp(join(tmpdir(), "sv-readers-"));
  const path = join(dir, "log");
  await writeFile(path, "one\n");
  const real = vi.mocked(lstat).getMockImplementation() as typeof lstat;
  const reader = await new LogReaders().open("a", async () => path, new AbortController().signal);
  try {
    for (const step of done)
      vi.mocked(lstat).mockImplementationOnce(((...args: Parameters<typeof lstat>) => {
        step(path);
        return real(...args);
      }) as typeof lstat);
    let text = "";
    for await (const chunk of reader.chunks(0, follow)) text += chunk;
    expect(reader.complete).toBe(true);
    return { text, replaced: reader.replaced };
  } finally {
    await rm(dir, { recursive: true });
  }
}

const grows_and_is_rotated = (path: string) => {
  appendFileSync(path, "two\n");
  writeFileSync(`${path}.new`, "three\n");
  renameSync(`${path}.new`, path);
};

test.each([true, false])("what comes between the last read and a rotation is read (follow: %s)", async (follow) => {
  expect(await read_while(follow, grows_and_is_rotated)).toEqual({ text: "one\ntwo\n", replaced: true });
});

test.each([true, false])(
  "a log that is rotated and whose name is then removed is read to its end (follow: %s)",
  async (follow) => {
    expect(await read_while(follow, grows_and_is_rotated, unlinkSync)).toEqual({ text: "one\ntwo\n", replaced: true });
  },
);
