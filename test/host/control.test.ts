import { statSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Control } from "../../src/host/control.ts";

test.each([0o000, 0o022, 0o077])(
  "with umask %i the socket is its owner's alone from its first moment, and the umask is as before",
  async (umask) => {
    const directory = await mkdtemp(join(tmpdir(), "sv-control-"));
    const path = join(directory, "x.sock");
    const control = new Control(async () => undefined);
    const before = process.umask(umask);
    try {
      const listening = control.listen(path);
      // Not waited for: it has not its name yet.
      expect(statSync(`${path}.new`).mode & 0o7777).toBe(0o600);
      expect(process.umask()).toBe(umask);
      await listening;
      expect(await readdir(directory)).toEqual(["x.sock"]);
      expect(statSync(path).mode & 0o7777).toBe(0o600);
    } finally {
      process.umask(before);
      control.close();
      await rm(directory, { recursive: true });
    }
  },
);
