import { closeSync, readdirSync, readlinkSync } from "node:fs";
import { beforeEach, expect, test, vi } from "vitest";
import { open_terminal } from "../../src/host/terminal.ts";

const programs = vi.hoisted(() => ({ stty: "stty" }));
vi.mock("node:child_process", async (original) => {
  const real = await original<typeof import("node:child_process")>();
  return {
    ...real,
    spawn: (_stty: string, args: string[], options: object) => real.spawn(programs.stty, args, options),
  };
});

/** Our descriptors of terminals, masters and slaves. */
const terminals = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return /^\/dev\/(pts\/(\d+|ptmx)|ptmx)$/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch (error) {
      // The directory that was just read.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return false;
    }
  });

beforeEach(() => {
  programs.stty = "stty";
});

test("a terminal that is set up has a master and a slave, and gives both back", async () => {
  const before = terminals();
  const terminal = await open_terminal("headless", [80, 24]);
  expect(terminals()).toHaveLength(before.length + 2);
  const closed = new Promise((resolve) => terminal.output.once("close", resolve));
  terminal.output.destroy();
  await closed;
  closeSync(terminal.slave_fd);
  expect(terminals()).toEqual(before);
});

test.each([
  ["fails", "false", "failed with exit code 1"],
  ["is not there", "/nowhere/stty", "ENOENT"],
])("when stty %s, no descriptor of the terminal stays open", async (_what, program, reason) => {
  programs.stty = program;
  const before = terminals();
  await expect(open_terminal("headless", [80, 24])).rejects.toThrow(reason);
  expect(terminals()).toEqual(before);
});
