import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import host_flags from "../../src/daemon/host-flags.json" with { type: "json" };

const HOST = fileURLToPath(new URL("../../dist/agent-host.cjs", import.meta.url));
const PROBE = fileURLToPath(new URL("../fixtures/what-node-compiled.cjs", import.meta.url));

test("A host that waits has compiled nothing of Node's own modules, and has none of the large ones that it does not need", async () => {
  const directory = mkdtempSync("/tmp/sv-loads-");
  try {
    const socket = join(directory, "host.sock");
    // The probe reads Node's inside; neither option is one of V8's.
    const options = [...host_flags, "--expose-internals", "--require", PROBE];
    const host = spawn(process.execPath, [...options, HOST, "a-host", socket, join(directory, "tmux")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(host, "exit");
    const told = JSON.parse(await text(host.stdout)) as { compiled: string[]; loaded: string[] };
    expect(await ended).toEqual([0, null]);
    expect(told.compiled).toEqual([]);
    expect(told.loaded).toContain("child_process");
    for (const large of ["fs/promises", "internal/perf/performance", "crypto", "readline", "module"])
      expect(told.loaded).not.toContain(large);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
