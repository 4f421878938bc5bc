import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

const PROJECT_CONFIG = `profiles:
  mine:
    command: mine
    prompt: argument
    prompt_args: ["--say", "{prompt}"]
    resume_args: ["--again", "{session}"]
    env: { FROM_PROFILE: profile-s3cret, BOTH: profile }
    pass_env: [PASSED, PATH, TELL, TEST_MARK]
    grace_ms: 1234
    cleanup: keep
    type: own
`;

describe("a profile", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    mkdirSync(`${supervisor.root}/bin`);
    for (const name of ["claude", "codex", "gemini", "aider", "opencode", "mine"])
      symlinkSync(fixture("tells-its-call"), `${supervisor.root}/bin/${name}`);
    writeFileSync(`${supervisor.root}/supervisor.config.yaml`, PROJECT_CONFIG);
    await supervisor.boot();
  });
  afterEach(() => supervisor.dispose());

  const env = (more: Record<string, string> = {}) => ({
    PATH: `${supervisor.root}/bin:${supervisor.env.PATH}`,
    ...more,
  });
  /** Deploys, waits for the end, and tells what the program told of its call. */
  async function call(args: string[], more: Record<string, string> = {}) {
    const ran = await supervisor.cli(["deploy", "--wait", "--json", "--cleanup", "keep", ...args], { env: env(more) });
    expect(ran.stderr).toBe("");
    const receipt = JSON.parse(ran.stdout);
    const log = readFileSync(
      receipt.cleanup.files_kept.find((path: string) => path.endsWith("_stream.jsonl")),
      "utf8",
    );
    return { ...JSON.parse(log), agent_id: receipt.agent_id };
  }

  test("of claude connects its agent to the supervisor when that is asked for, before all options that could be taken for a file", async () => {
    const { args, agent_id } = await call(["--profile", "claude", "--mcp", "--prompt", "x", "--", "{mcp_config}"]);
    expect(args.slice(0, 3)).toEqual([
      "--mcp-config",
      expect.stringContaining(`agent_mcp_${agent_id}.json`),
      "--print",
    ]);
    expect(args.at(-1)).toBe("{mcp_config}");
    expect((await call(["--profile", "claude", "--prompt", "x"])).args).not.toContain("--mcp-config");
  });

  test.each([
    ["claude", "--print --output-format stream-json --verbose --dangerously-skip-permissions", "do it", "--resume S1"],
    ["codex", "exec --json --sandbox workspace-write --skip-git-repo-check -", "do it", "resume S1 -"],
    ["gemini", "--output-format stream-json --approval-mode yolo", "do it", "--resume S1"],
    ["opencode", "run --format json", "do it", "--session S1"],
  ])(
    "of %s is its program's own unattended command line, with the prompt on stdin and stdout through a pipe",
    async (name, args, stdin, resumed) => {
      const told = await call(["--profile", name, "--prompt", "do it"]);
      expect(told).toMatchObject({ name, args: args.split(" "), stdin });
      expect(told.agent_id).toMatch(new RegExp(`^${name}-`));
      const agent = await supervisor.client.call("get_agent", { params: { agent: told.agent_id } });
      expect(agent).toMatchObject({ profile: name, stdout: "pipe", mode: "headless", cleanup: "keep" });
      const again = await call(["--profile", name, "--resume", "S1", "--", "--model", "big"]);
      expect(again.args.join(" ")).toBe(`${args.replace(/ -$/, "")} --model big ${resumed}`);
    },
  );

  test("can hand the prompt over as a file (aider, shell), and then stdin is empty", async () => {
    const told = await call(["--profile", "aider", "--prompt", "do it", "--", "--model", "big"]);
    expect(told.stdin).toBe("");
    expect(told.args.slice(0, -1)).toEqual([
      "--yes-always",
      "--no-pretty",
      "--no-check-update",
      "--model",
      "big",
      "--message-file",
    ]);
    expect(readFileSync(told.args.at(-1), "utf8")).toBe("do it");
    const script = 'printf \'{"ran":"%s"}\\n\' "$(cat)$-"';
    expect((await call(["--profile", "shell", "--prompt", script, "--", "-eu"])).ran).toMatch(/^\w*e\w*$/);
  });

  test("of the project's config hands the prompt over as an argument that is not recorded; its variables stand between the caller's and --env, and nowhere else", async () => {
    const told = await call(
      [
        "--profile",
        "mine",
        "--prompt",
        "a {prompt_file} & $1",
        "--resume",
        "S",
        "--clean-env",
        "--env",
        "BOTH=asked",
        "--",
        "--x",
        "{prompt}",
      ],
      { TELL: "FROM_PROFILE,BOTH,PASSED,OTHER", PASSED: "passed", OTHER: "other" },
    );
    expect(told).toMatchObject({
      args: ["--x", "{prompt}", "--again", "S", "--say", "a {prompt_file} & $1"],
      stdin: "",
      env: { FROM_PROFILE: "profile-s3cret", BOTH: "asked", PASSED: "passed", OTHER: "" },
    });
    const agent = await supervisor.client.call("get_agent", { params: { agent: told.agent_id } });
    expect(agent).toMatchObject({ type: "own", grace_ms: 1234, cleanup: "keep", stdout: "pty" });
    expect(agent.command).toEqual(["mine", "--x", "{prompt}", "--again", "S", "--say", "{prompt}"]);
    const shown = await supervisor.cli(["profiles", "show", "mine"]);
    expect(shown.stdout).toContain("variables  FROM_PROFILE, BOTH\n");
    expect(shown.stdout + JSON.stringify(agent)).not.toContain("s3cret");
    expect((await supervisor.shell(`grep -rl s3cret ws --exclude='${told.agent_id}_stream.jsonl'`)).stdout).toBe("");
    expect((await call(["--profile", "mine", "--clean-env"], { TELL: "FROM_PROFILE" })).env).toEqual({
      FROM_PROFILE: "profile-s3cret",
    });
  });

  test("is listed with where it comes from, and completed by the shell", async () => {
    const listed = (await supervisor.cli(["profiles"])).stdout;
    for (const name of ["claude", "codex", "gemini", "aider", "opencode", "shell"])
      expect(listed).toMatch(new RegExp(`^${name} .*shipped`, "m"));
    expect(listed).toMatch(/^mine .*supervisor\.config\.yaml/m);
    expect(JSON.parse((await supervisor.cli(["profiles", "--json"])).stdout)).toHaveLength(7);
    const completed = await supervisor.shell(
      `supervisor() { ${process.execPath} ${process.cwd()}/dist/supervisor.js "$@"; }; source <(supervisor completion bash); COMP_WORDS=(supervisor deploy --profile co); COMP_CWORD=3; _supervisor; echo "\${COMPREPLY[@]}"`,
    );
    expect(completed.stdout).toBe("codex\n");
  });

  test.each([
    ["a profile that is not there", ["--profile", "cluade"], 4, /no profile 'cluade'; did you mean 'claude'\?/],
    [
      "its program repeated",
      ["--profile", "claude", "--", "claude"],
      2,
      /appended to 'claude's own command: leave out 'claude'/,
    ],
    ["a session without a profile", ["--resume", "x", "--", "true"], 2, /resume needs a profile/],
    ["a session for one that cannot resume", ["--profile", "shell", "--resume", "x"], 2, /does not know how to resume/],
    [
      "a session that looks like an option",
      ["--profile", "claude", "--resume=--evil"],
      2,
      /resume: must not begin with '-'/,
    ],
    [
      "a prompt too long for an argument",
      ["--profile", "mine", "--prompt-file", "-"],
      2,
      /--prompt-file: may have 131071 bytes/,
    ],
  ])("refuses %s in one clear line, and makes nothing", async (_what, args, code, message) => {
    const ran = await supervisor.cli(["deploy", ...(args as string[])], { env: env(), input: "x".repeat(140_000) });
    expect(ran).toMatchObject({ code, stderr: expect.stringMatching(message as RegExp) });
    expect(ran.stderr.trim().split("\n")).toHaveLength(1);
    expect(await supervisor.client.call("list_agents", { query: { all: true } })).toEqual([]);
  });

  test("whose program is missing is said before anything is made, with how to get it", async () => {
    const ran = await supervisor.cli(["deploy", "--profile", "codex"], { env: { PATH: "/nowhere" } });
    expect(ran).toMatchObject({
      code: 2,
      stderr:
        "supervisor: the profile 'codex' runs 'codex', which is not on the PATH; install it (npm install -g @openai/codex), or set profiles.codex.command in supervisor.config.yaml and restart the supervisor\n",
    });
    expect(await supervisor.client.call("list_agents", { query: { all: true } })).toEqual([]);
  });
});

test("a broken config refuses the start in one clear line with exit code 2, and nothing is made", async () => {
  const supervisor = await TestSupervisor.prepare();
  mkdirSync(`${supervisor.root}/.config/supervisor`, { recursive: true });
  rmSync(`${supervisor.root}/.config/supervisor/config.json`, { force: true });
  writeFileSync(`${supervisor.root}/.config/supervisor/config.yaml`, "profiles:\n  claude:\n    stdot: pipe\n");
  const ran = await supervisor.cli(["start"]);
  expect(ran).toMatchObject({
    code: 2,
    stderr: `supervisor: ${supervisor.root}/.config/supervisor/config.yaml:3:5: unknown key 'stdot' in profiles.claude; did you mean 'stdout'?\n`,
  });
  expect(existsSync(supervisor.workspace)).toBe(false);
  await supervisor.dispose();
});
