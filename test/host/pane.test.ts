import { closeSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Pane } from "../../src/host/pane.ts";
import { as_it_is, PlainView } from "../../src/host/plain-view.ts";
import { open_terminal, type Terminal } from "../../src/host/terminal.ts";

let terminal: Terminal;
let pane: Pane;
let drawn: string;
let on_drawn: () => void;
beforeEach(async () => {
  terminal = await open_terminal("headless", [80, 24]);
  pane = new Pane(terminal.path);
  drawn = "";
  on_drawn = () => {};
});
afterEach(() => {
  pane.close();
  terminal.output.destroy();
  closeSync(terminal.slave_fd);
});

/** Draws from now on, as tmux would. Resolves when `text` was drawn. */
const until_drawn = (text: string) =>
  new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`waited 40 s for ${JSON.stringify(text)} to be drawn`)), 40_000);
    on_drawn = () => {
      if (!drawn.includes(text)) return;
      clearTimeout(late);
      resolve();
    };
    terminal.output.on("data", (chunk) => {
      drawn += chunk.toString("latin1");
      on_drawn();
    });
    on_drawn();
  });

/** Numbered lines of 100 bytes each. */
const lines = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => `line ${from + at} `.padEnd(99, "."))
    .join("\n")
    .concat("\n");
const LINE = /^line \d+ \.+$/;

describe("a pane", () => {
  test("shows ordinary output whole", async () => {
    const seen = until_drawn("line 499 ");
    const filter = new PlainView();
    for (let at = 0; at < 500; at++) pane.show(Buffer.from(lines(at, 1)), filter);
    await seen;
    await until_drawn("line 499 .");
    expect(drawn.startsWith(lines(0, 499))).toBe(true);
  });

  test("shows of a flood its beginning and its end, both in whole lines, and little of what is between", async () => {
    const seen = until_drawn("the last line");
    const filter = new PlainView();
    // 13 MB in the chunks of a burst: the event loop has no turn in between, so that the clock alone may begin another frame.
    const chunk = 128;
    const began = performance.now();
    for (let at = 0; at < 100; at++) pane.show(Buffer.from(lines(at * 1310, 1310)).subarray(0, chunk * 1024), filter);
    const frames = 1 + Math.ceil((performance.now() - began) / 50);
    pane.show(Buffer.from("\nthe last line\n"), filter);
    await seen;
    expect(drawn.length).toBeLessThan((frames + 2) * 64 * 1024);
    const gaps = drawn.split("\x18");
    expect(gaps.length).toBeGreaterThan(1);
    for (const part of gaps) {
      const whole = part.split("\n").slice(0, -1);
      expect(whole.filter((line) => !LINE.test(line) && line !== "the last line" && !is_cut(line))).toEqual([]);
    }
  });

  test("ends what the terminal has of a sequence when the rest of it is skipped, and asks nothing by what follows", async () => {
    const filter = new PlainView();
    pane.show(Buffer.from("\x1b]0;a title that is cut"), filter);
    for (let at = 0; at < 4; at++) pane.show(Buffer.from(lines(at * 655, 655)), filter);
    pane.show(Buffer.from("\x1b[6nthe end\n"), filter);
    await until_drawn("the end");
    expect(drawn).toContain("\x18line ");
    expect(drawn).not.toContain("\x1b[6n");
  });

  test("keeps copies: whoever shows something may use its memory again", async () => {
    const filter = as_it_is();
    const chunk = Buffer.from(lines(0, 300));
    // Nobody draws yet: what the kernel does not take waits.
    for (let at = 0; at < 4; at++) {
      pane.show(chunk, filter);
      chunk.fill("x");
      chunk.write(lines((at + 1) * 300, 300));
    }
    chunk.fill("x");
    await until_drawn("line 1199 .");
    expect(drawn).not.toContain("x");
  });

  test("is not open when its terminal is gone, and shows nothing", () => {
    const none = new Pane("/dev/pts/no-such-terminal");
    expect(none.open).toBe(false);
    none.show(Buffer.from("text"), as_it_is());
    none.close();
  });
});

/** A chunk of the flood ends anywhere; the line that is cut by it is followed by the next chunk's beginning. */
const is_cut = (line: string) => /^line \d+ ?\.*(line \d+ \.+)?$|^\.*line \d+ \.+$|^$/.test(line);
