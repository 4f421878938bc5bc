/** Tab, in the shells that are installed here: their own script, asking a real supervisor. */
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

/** Each prints what Tab would offer for the words, one a line; the last word is the one at the cursor. */
const SHELLS: Record<string, (words: string[]) => string[]> = {
  bash: (words) => [
    "--norc",
    "-c",
    `source <(supervisor completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _supervisor; printf '%s\\n' "\${COMPREPLY[@]}"`,
    "bash",
    ...words,
  ],
  // What the script hands to zsh's own functions: those need a person at a terminal.
  zsh: (words) => [
    "-fc",
    `compdef() { }; _describe() { print -rl -- "\${(@)\${(P@)@[-1]}%%:*}" }; compset() { }
     _files() { [[ $1 == -/ ]] && print -rl -- *(/) || print -rl -- *; }; _command_names() { whence -pm '*' }
     source <(supervisor completion zsh); words=("$@"); CURRENT=$#; PREFIX=$@[-1]; _supervisor`,
    "zsh",
    ...words,
  ],
  fish: (words) => [
    "--no-config",
    "-c",
    `supervisor completion fish | source; complete -C (string join ' ' -- $argv) | string replace -r '\\t.*' ''; true`,
    "--",
    ...words,
  ],
};

function missing(shell: string): boolean {
  try {
    execFileSync(shell, ["-c", "true"], { stdio: "ignore" });
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return true;
  }
}

describe.each(Object.keys(SHELLS))("Tab in %s", (shell) => {
  const absent = missing(shell);
  let supervisor: TestSupervisor;
  let living: string;
  let over: string;
  beforeAll(async () => {
    if (absent) return;
    supervisor = await TestSupervisor.start();
    mkdirSync(`${supervisor.root}/bin`);
    symlinkSync(SUPERVISOR, `${supervisor.root}/bin/supervisor`);
    writeFileSync(`${supervisor.root}/task.md`, "");
    living = (await supervisor.deploy({ command: [fixture("idles")], type: "living" })).id;
    over = (await supervisor.deploy({ command: ["true"], type: "over" })).id;
    await supervisor.client.call("wait", { params: { agent: over } });
  });
  afterAll(() => supervisor?.dispose());

  const tab = (...words: string[]) => {
    const env = {
      ...supervisor.env,
      SUPERVISOR_WORKSPACE: supervisor.workspace,
      PATH: `${supervisor.root}/bin${delimiter}${supervisor.env.PATH}`,
    };
    const args = (SHELLS[shell] as (words: string[]) => string[])(["supervisor", ...words]);
    const stdout = execFileSync(shell, args, {
      cwd: supervisor.root,
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    return stdout.split("\n").filter(Boolean);
  };

  test.skipIf(absent)(
    `${absent ? `(skipped: ${shell} is not installed) ` : ""}offers commands, agents by their ids, tasks, profiles, values and options`,
    async () => {
      expect(tab("ki")).toEqual(["kill"]);
      expect(tab("status", "").sort()).toEqual([living, over].sort());
      expect(tab("kill", "--tree", "")).toEqual([living]);
      expect(tab("kill", "o")).toEqual([]);
      expect(tab("finding", "--agent", "liv")).toEqual([living]);
      const [{ task_id } = { task_id: "" }] = await supervisor.client.call("list_tasks");
      expect(tab("kill", "--task", "")).toEqual([task_id]);
      expect(tab("task", "status", "TA")).toEqual([task_id]);
      expect(tab("deploy", "--profile", "co")).toEqual(["codex"]);
      expect(tab("logs", living, "--format", "").sort()).toEqual(["jsonl", "parsed", "text"]);
      expect(tab("logs", "--response-f")).toEqual(["--response-format"]);
      expect(tab("start", "--")).not.toContain("--failure-file");
    },
    60_000,
  );

  test.skipIf(absent)(
    `${absent ? `(skipped: ${shell} is not installed) ` : ""}offers files where a file belongs, directories where a directory does, programs after '--', and says nothing without a supervisor`,
    () => {
      expect(tab("deploy", "--prompt-file", "ta")).toContain("task.md");
      const directories = tab("deploy", "--cwd", "");
      expect(directories.map((name) => name.replace(/\/$/, ""))).toContain("bin");
      expect(directories).not.toContain("task.md");
      expect(tab("deploy", "--", "superv").some((name) => name.endsWith("supervisor"))).toBe(true);
      expect(tab("--workspace", "/nowhere", "kill", "")).toEqual([]);
    },
    60_000,
  );
});

test("bash splits a word at '=', and each side is completed all the same", () => {
  const words = ["supervisor", "logs", "--format", "=", "pa"];
  const script = `supervisor() { ${process.execPath} ${SUPERVISOR} "$@"; }; ${(SHELLS.bash as (words: string[]) => string[])([])[2]}`;
  expect(execFileSync("bash", ["--norc", "-c", script, "bash", ...words], { encoding: "utf8" })).toBe("parsed\n");
});
