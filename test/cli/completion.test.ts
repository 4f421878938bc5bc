/** What `supervisor complete` answers is what the help says, for every command: both are made from the same commands. */
import { afterEach, expect, test, vi } from "vitest";
import { run_cli } from "../../src/cli/program.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function run(...argv: string[]): Promise<string> {
  let said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
  await run_cli({ argv, env: { HOME: "/", SECRET: "s3cret" }, cwd: "/" });
  vi.restoreAllMocks();
  return said;
}

/** The values, and what the shell completes by itself. */
async function complete(...words: string[]) {
  const lines = (await run("complete", "--", ...words)).trimEnd().split("\n");
  return { values: lines.slice(0, -1).map((line) => line.split("\t")[0] as string), shell: lines.at(-1) };
}

const long_options = (help: string) =>
  [...help.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name as string);

test("every command's options are completed, and no hidden one", async () => {
  const commands = (await complete("")).values;
  expect(commands).toEqual(expect.arrayContaining(["start", "deploy", "task", "profiles", "completion"]));
  expect(commands).not.toContain("complete");
  for (const path of [
    ...commands.filter((one) => one !== "help").map((one) => [one]),
    ["task", "create"],
    ["profiles", "show"],
  ]) {
    const listed = long_options(await run(...path, "--help"));
    const { values } = await complete(...path, "--");
    expect([...values].sort(), path.join(" ")).toEqual([...new Set([...listed, ...values.filter(is_shared)])].sort());
    expect(values, path.join(" ")).toEqual(expect.arrayContaining(["--workspace", "--json", "--help"]));
  }
  expect((await complete("start", "--")).values).not.toContain("--failure-file");
});
const is_shared = (name: string) => ["--version", "--workspace", "--json", "--stack"].includes(name);

test.each([
  [
    ["logs", "a", "--format", ""],
    ["text", "jsonl", "parsed"],
  ],
  [["logs", "--format=p"], ["--format=parsed"]],
  // As bash splits it.
  [["logs", "--format", "=", "p"], ["parsed"]],
  [
    ["logs", "--format", "="],
    ["text", "jsonl", "parsed"],
  ],
  [["--json", "deploy", "--cleanup", "de"], ["delete"]],
  [
    ["kill", "--tree", "--cleanup", ""],
    ["delete", "archive", "keep"],
  ],
  [["start", "--log-level", "w"], ["warn"]],
  [
    ["finding", "--severity", ""],
    ["low", "medium", "high", "critical"],
  ],
  [["progress", "--status", "co"], ["completed"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["task", "c"], ["create"]],
  [["task", "ls", "--a"], []],
  // Said once is enough; what is collected may be said again; a value is not taken for a command.
  [["deploy", "--mcp", "--mc"], []],
  [["deploy", "--env", "A=1", "--env-"], ["--env-file"]],
  [["deploy", "--type", "kill", "--clean"], ["--cleanup", "--clean-env"].sort().reverse()],
  [["deploy", "--env", "SEC"], ["SECRET"]],
  [["nonsense", "--wor"], ["--workspace"]],
])("after %j comes %j", async (words, expected) => {
  const { values, shell } = await complete(...words);
  expect(values.toSorted()).toEqual(expected.toSorted());
  expect(shell).toBe(":none");
});

test.each([
  [["deploy", "--prompt-file", "x"], ":file"],
  [["deploy", "--prompt-file=x"], ":file"],
  [["deploy", "--cwd", ""], ":dir"],
  [["--workspace", ""], ":dir"],
  [["deploy", "--profile", "claude", "--", ""], ":command"],
  [["deploy", "--", "make", ""], ":file"],
])("after %j the shell completes by itself: %s", async (words, expected) => {
  expect(await complete(...words)).toEqual({ values: [], shell: expected });
});
