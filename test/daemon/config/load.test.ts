import { chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { supervisor_config } from "../../../src/contract/config.ts";
import { load_config } from "../../../src/daemon/config/load.ts";
import { make_profiles } from "../../../src/daemon/profiles/profiles.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sv-config-"));
  await mkdir(join(dir, "project"));
  await mkdir(join(dir, "user"));
});
afterEach(() => rm(dir, { recursive: true }));

const places = () => [
  { dir: join(dir, "project"), name: "supervisor.config" },
  { dir: join(dir, "user"), name: "config" },
];
const load = () => load_config(places());
const project = (text: string, ending = "yaml") => writeFile(join(dir, "project", `supervisor.config.${ending}`), text);
const user = (text: string, ending = "yaml") => writeFile(join(dir, "user", `config.${ending}`), text);

describe("a config", () => {
  test("that is nowhere, or empty, is the default", async () => {
    expect(await load()).toEqual({ config: supervisor_config.parse({}), files: [] });
    await project("");
    await user("# nothing yet\n");
    expect((await load()).config).toEqual(supervisor_config.parse({}));
  });

  test("of the project wins over the user's, key by key, and both over what is shipped", async () => {
    await project('{\n\t"profiles": {"claude": {"grace_ms": 9000, "env": {"A": "project"}}}\n}\n', "json");
    await user(
      "profiles:\n  claude:\n    grace_ms: 1\n    cleanup: keep\n    env: { A: user, B: user }\n  mine: { command: mine }\n",
    );
    const profiles = make_profiles(await load());
    expect(profiles.get("claude")).toMatchObject({
      command: "claude",
      args: ["--print", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"],
      grace_ms: 9000,
      cleanup: "keep",
      env: { A: "project", B: "user" },
      sources: [join(dir, "project/supervisor.config.json"), join(dir, "user/config.yaml"), "shipped"],
    });
    expect(profiles.get("mine")).toMatchObject({ type: "mine", stdout: "pty", prompt: "stdin" });
    expect([...profiles.keys()]).toEqual(["claude", "codex", "gemini", "aider", "opencode", "shell", "mine"]);
  });

  test.each([
    ["profils:\n  a: {}\n", "1:1: unknown key 'profils'; did you mean 'profiles'?"],
    ["profiles:\n  claude:\n    comand: x\n", "3:5: unknown key 'comand' in profiles.claude; did you mean 'command'?"],
    [
      "profiles:\n  claude:\n    zzzzzz: x\n",
      "3:5: unknown key 'zzzzzz' in profiles.claude; known are description, command, args,",
    ],
    [
      "profiles: {claude: {stdout: pype}}",
      "1:29: profiles.claude.stdout: must be one of 'pty', 'pipe'; did you mean 'pipe'?",
    ],
    ["profiles:\n  claude:\n    grace_ms: soon\n", "3:15: profiles.claude.grace_ms: must be a number, not text"],
    [
      "profiles:\n  claude:\n    args:\n      - a\n      - 7\n",
      "5:9: profiles.claude.args.1: must be text, not a number",
    ],
    ["profiles:\n  claude: [\n", "3:1: "],
    ["profiles:\n  a: {command: x}\n  a: {command: y}\n", "3:3: Map keys must be unique"],
    ["profiles:\n  'a/b': {command: x}\n", "2:3: profiles.a/b: "],
    ["- a\n", "1:1: the file: must be an object with keys, not a list"],
    [
      "profiles:\n  claude:\n    result_event: { complete: [] }\n",
      "3:21: unknown key 'complete' in profiles.claude.result_event; did you mean 'completed'?",
    ],
    ["alerts: { webhook: ftp://x }\n", "1:20: alerts.webhook: must be an http or https URL"],
    ["alerts: { webhook: 'http://me:secret@x/' }\n", "1:20: alerts.webhook: must not have a user or password in it"],
    ["alerts: { comand: [x] }\n", "1:11: unknown key 'comand' in alerts; did you mean 'command'?"],
    ["retention: { max_bytes: 10 apples }\n", "1:25: retention.max_bytes: must be a size, such as 512M or 2G"],
    ["logs: { max_bytes: 1K }\n", "1:20: logs.max_bytes: must be at least 4096"],
    ["limits: { min_free_disk: [] }\n", "1:26: limits.min_free_disk: must be a number, not a list"],
    ["profils: 1\nprofile: 2\n", "1:1: unknown key 'profils'; did you mean 'profiles'? (and 1 more)"],
  ])("that is wrong (%j) names file, line, column, the key, and what was probably meant", async (text, message) => {
    await project(text);
    await expect(load()).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(`${join(dir, "project/supervisor.config.yaml")}:${message}`),
    });
  });

  test("names the values that a key may have once", async () => {
    await project("logs: { full: stop }\n");
    await expect(load()).rejects.toThrow(/:1:15: logs\.full: must be one of 'rotate', 'pause'$/);
  });

  test("may have its sizes as the command line has them", async () => {
    await project(
      "retention: { max_bytes: 10MB, receipts_max_bytes: 1.5K }\nlogs: { max_bytes: 4K }\nalerts: { disk_free_bytes: 2g }\nlimits: { min_free_disk: 1GiB, min_free_memory: 0 }\n",
    );
    expect((await load()).config).toMatchObject({
      retention: { max_bytes: 10 * 1024 ** 2, receipts_max_bytes: 1536 },
      logs: { max_bytes: 4096 },
      alerts: { disk_free_bytes: 2 * 1024 ** 3 },
      limits: { min_free_disk: 1024 ** 3, min_free_memory: 0 },
    });
    await project("logs: { max_bytes: null }\n");
    expect((await load()).config.logs.max_bytes).toBeNull();
  });

  test("in JSON must be JSON, and one that is there twice is refused", async () => {
    await project("profiles: {}", "json");
    await expect(load()).rejects.toThrow(/supervisor\.config\.json:1:1: this is not JSON/);
    await project("", "yaml");
    await expect(load()).rejects.toThrow(/there are several; keep one of them/);
  });

  test.runIf(process.getuid?.() === 0)("of a stranger in a directory where anybody may write is refused", async () => {
    await project("");
    await chown(join(dir, "project/supervisor.config.yaml"), 12345, 12345);
    await expect(load()).rejects.toThrow(/belongs to another user/);
    // In a project of the same stranger it is the project's own.
    await chown(join(dir, "project"), 12345, 12345);
    expect((await load()).config).toEqual(supervisor_config.parse({}));
  });

  test.each([
    ["profiles: {own: {args: [a]}}", /profiles\.own: has no command, and no shipped profile has that name/],
    ["profiles: {own: {command: a, prompt: argument}}", /profiles\.own\.prompt_args: must have \{prompt\}/],
    ["profiles: {own: {command: a, prompt_args: ['{prompt}']}}", /has \{prompt\}, but prompt is not 'argument'/],
    ["profiles: {own: {command: a, mcp_args: [--mcp]}}", /profiles\.own\.mcp_args: must have \{mcp_config\}/],
    ["profiles: {own: {command: a, resume_args: [--resume]}}", /profiles\.own\.resume_args: must have \{session\}/],
  ])("whose profile cannot work (%s) is refused", async (text, message) => {
    await project(text);
    const loaded = await load();
    expect(() => make_profiles(loaded)).toThrow(message);
  });
});
