import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import host_flags from "../../src/daemon/host-flags.json" with { type: "json" };

const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));
const compiled = readdirSync(DIST).find((name) => /^agent-host-[0-9a-f]{16}\.v8$/.test(name)) as string;
const program = compiled.replace(/v8$/, "cjs");

/** Loads the program as agent-host.ts does, and says whether V8 took what was compiled ahead. */
const LOOK = `const { readFileSync } = require("node:fs"); const { Script } = require("node:vm");
const source = readFileSync(process.argv[1], "latin1");
console.log(!new Script(source, { filename: process.argv[1], cachedData: readFileSync(process.argv[2]) }).cachedDataRejected);`;

const is_taken = (flags: string[]) =>
  execFileSync(process.execPath, [...flags, "-e", LOOK, "--", DIST + program, DIST + compiled], { encoding: "utf8" });

test("A host's program is taken as it was compiled ahead, and read by agent-host.cjs under that name", () => {
  expect(is_taken(host_flags)).toBe("true\n");
  expect(readFileSync(`${DIST}agent-host.cjs`, "utf8")).toContain(program.replace(/\.cjs$/, ""));
});

test("A host that may not take it, because its V8 has other flags, compiles its program itself", () => {
  expect(is_taken(["--no-flush-bytecode", "--max-lazy"])).toBe("false\n");
  const host = spawnSync(process.execPath, ["--no-flush-bytecode", "--max-lazy", `${DIST}agent-host.cjs`], {
    encoding: "utf8",
  });
  expect(host.stderr).toContain("usage: agent-host AGENT_ID SOCKET TMUX_SOCKET");
  expect(host.status).toBe(2);
});
