import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { position_of_last_lines } from "../../../src/daemon/logs/readers.ts";

test("the last lines of a file are found from its end, with and without a final newline", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-tail-"));
  const path = join(dir, "log");
  const at = async (text: string, count: number) => {
    await writeFile(path, text);
    return text.slice(await position_of_last_lines(path, count));
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

test("the last lines of a sparse 10 GB file are found without reading it", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sv-tail-"));
  const handle = await open(join(dir, "log"), "w");
  try {
    const tail = "\none\ntwo\n";
    await handle.write(tail, 10_000_000_000);
    expect(await position_of_last_lines(join(dir, "log"), 2)).toBe(10_000_000_001);
  } finally {
    await handle.close();
    await rm(dir, { recursive: true });
  }
});
