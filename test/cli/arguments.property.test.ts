/** Whatever is typed: an exit code of the contract, and one line that says what is wrong. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { run_cli } from "../../src/cli/program.ts";

/** These run for as long as they are wanted, or read stdin; the end-to-end tests have them. */
const LASTING = ["start", "demo", "mcp", "-"];
/** docs/cli.md, exit codes. */
const EXIT_CODES = [0, 1, 2, 3, 4];

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "svf-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(cwd, { recursive: true });
});

async function run(argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      said[name] += String(text);
      return true;
    });
  try {
    return { code: await run_cli({ argv, env: { PATH: process.env.PATH, HOME: cwd }, cwd }), ...said };
  } finally {
    vi.restoreAllMocks();
  }
}

const COMMANDS = [
  "deploy",
  "ps",
  "status",
  "logs",
  "attach",
  "send",
  "wait",
  "kill",
  "progress",
  "finding",
  "findings",
].concat(["task", "profiles", "verify", "gc", "events", "stop", "completion", "help"]);
const OPTIONS = [
  "--json",
  "--workspace",
  "--help",
  "-h",
  "--all",
  "--lines",
  "-n",
  "--filter",
  "--format",
  "--grace",
  "--env",
].concat(
  [
    "--env-file",
    "--prompt-file",
    "--timeout",
    "--cleanup",
    "--task",
    "--type",
    "--stdout",
    "--memory-max",
    "--cpu-max",
    "--",
    "-f",
  ],
  [
    "--limit",
    "--data",
    "--progress",
    "--agent",
    "--profile",
    "--no-such-option",
    "--grace=",
    "--env==",
    "--clean-env",
    "--raw",
  ],
);
const VALUES = [
  "",
  "1",
  "-1",
  "1e9",
  "999999999999999999999",
  "2G",
  "archive",
  "jsonl",
  "bash",
  "create",
  "ls",
  "show",
  "{",
  "[1]",
].concat([
  "\u001b]52;c;eA==\u0007",
  "\u202egnp",
  "\ud800",
  "a\nb",
  "/no/such",
  "../..",
  "x".repeat(10_000),
  "__proto__",
  "constructor",
]);
const word = fc
  .oneof(fc.constantFrom(...OPTIONS), fc.constantFrom(...VALUES), fc.string({ unit: "binary", maxLength: 12 }))
  .filter((one) => !LASTING.includes(one) && !one.includes("\0"));
const line = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom(...COMMANDS), fc.array(word, { maxLength: 6 }))
      .map(([name, rest]) => [name, ...rest]),
  },
  { weight: 1, arbitrary: fc.array(word, { maxLength: 6 }) },
);

test("any command line ends with an exit code of the contract, at most one line of error, no stack, and nothing made", async () => {
  await fc.assert(
    fc.asyncProperty(line, async (argv) => {
      const { code, stdout, stderr } = await run(argv);
      expect(EXIT_CODES).toContain(code);
      if (code === 0) expect(stderr).toBe("");
      // Without a command, or with half of one, the help is the error.
      else if (!/^(Supervises|Usage:)/.test(stderr)) expect(stderr).toMatch(/^supervisor: [^\n]+\n$/);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
      expect(stderr).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/);
      expect(stdout + stderr).not.toMatch(/\n\s+at |node:internal|\.ts:\d/);
      expect(readdirSync(cwd)).toEqual([]);
    }),
    { numRuns: 1_500 },
  );
});
