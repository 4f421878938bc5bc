/** A secret that is given to an agent is in that agent's environment, and nowhere else that anybody could read. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { parse_stat } from "../../src/drivers/procfs.ts";
import { files_with } from "../support/files.ts";
import { end_exactly } from "../support/processes.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
/** Where the caller keeps what is the caller's own. */
let callers: string;
const secret = (name: string) => `canary-${name}-${randomBytes(12).toString("hex")}`;
const SECRETS = {
  option: secret("option"),
  file: secret("file"),
  passed_on: secret("passed-on"),
  inherited: secret("inherited"),
};
const ALL = Object.values(SECRETS);
const has_secret = (text: string) => ALL.some((one) => text.includes(one));

beforeEach(async () => {
  callers = realpathSync(mkdtempSync(join(tmpdir(), "svc-")));
  writeFileSync(join(callers, "env"), `# the caller's\nFROM_FILE=${SECRETS.file}\n`);
  supervisor = await TestSupervisor.prepare();
  await supervisor.boot(["--log-level", "debug"]);
});
afterEach(async () => {
  await supervisor.dispose();
  rmSync(callers, { recursive: true });
});

const ENVIRONMENT = { PASSED_ON: SECRETS.passed_on, INHERITED: SECRETS.inherited };
const deploy = (args: string[], command: string[] = [fixture("idles")]) =>
  supervisor.cli(
    [
      "deploy",
      ...args,
      "--env",
      `OPTION=${SECRETS.option}`,
      "--env",
      "PASSED_ON",
      "--env-file",
      join(callers, "env"),
      "--",
      ...command,
    ],
    { env: ENVIRONMENT },
  );

/** The processes whose file in /proc has a secret in it, each with its session. Those that went away, or are another user's, have none to show. */
function processes_with(file: "cmdline" | "environ"): { pid: number; session: number }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // First, because nobody's session is known when it has ended.
        const { session } = parse_stat(Number(pid), readFileSync(`/proc/${pid}/stat`, "latin1"));
        return has_secret(readFileSync(`/proc/${pid}/${file}`, "latin1")) ? [{ pid: Number(pid), session }] : [];
      } catch (error) {
        if (["ENOENT", "ESRCH", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
        throw error;
      }
    });
}

/** Looks everywhere but into the agents' own environments. */
async function expect_nowhere(when: string): Promise<void> {
  expect(processes_with("cmdline"), `command lines ${when}`).toEqual([]);
  expect(files_with(supervisor.root, ALL), `files ${when}`).toEqual([]);
  const { client } = supervisor;
  const [agents, tasks] = [await client.call("list_agents", { query: { all: true } }), await client.call("list_tasks")];
  const answers = [
    agents,
    tasks,
    await Promise.all(agents.map(({ id }) => client.call("get_agent", { params: { agent: id } }))),
    await Promise.all(tasks.map(({ task_id }) => client.call("get_task", { params: { task: task_id } }))),
    await client.call("list_profiles"),
    await client.call("verify"),
    await client.call("health"),
    await text(await client.stream("events")),
    (await supervisor.shell(`curl -s --unix-socket ${supervisor.socket} http://x/openapi.json`)).stdout,
  ];
  for (const answer of answers) expect(has_secret(JSON.stringify(answer)), `an answer ${when}`).toBe(false);
  expect(has_secret(supervisor.daemon_stderr), `the daemon's log ${when}`).toBe(false);
}

test("a secret from --env, --env-file, --env NAME or the caller is in the agent's environment, and in no other process's, no command line, file, log, answer or event", async () => {
  const ran = await deploy([]);
  expect(ran).toMatchObject({ code: 0, stderr: "" });
  const agent = await supervisor.client.call("get_agent", { params: { agent: ran.stdout.trim() } });
  await supervisor.printed(agent, "ready");
  const { pid } = agent.process as ProcessRef;
  const own = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  expect(own).toEqual(
    expect.arrayContaining([
      `OPTION=${SECRETS.option}`,
      `FROM_FILE=${SECRETS.file}`,
      `PASSED_ON=${SECRETS.passed_on}`,
      `INHERITED=${SECRETS.inherited}`,
    ]),
  );
  // The agent's own `sleep` is its descendant: whoever is in its session is its own.
  const elsewhere = processes_with("environ").filter(({ session }) => session !== pid);
  expect(elsewhere, "environments of others").toEqual([]);
  await expect_nowhere("while it runs");
  expect(has_secret((await supervisor.cli(["status", agent.id])).stdout)).toBe(false);
  const killed = await supervisor.cli(["kill", agent.id, "--cleanup", "archive", "--json"]);
  expect(killed.code).toBe(0);
  expect(has_secret(killed.stdout), "the receipt").toBe(false);
  await expect_nowhere("after its end");
});

test("nor is it anywhere after the daemon was killed and another one adopted the agent, nor when the agent's host was killed", async () => {
  const id = (await deploy([])).stdout.trim();
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.boot(["--log-level", "debug"]);
  await expect_nowhere("after the adoption");
  const agent: AgentRecord = await supervisor.client.call("get_agent", { params: { agent: id } });
  await end_exactly(agent.host as ProcessRef);
  const receipt = await supervisor.client.call("wait", { params: { agent: id } });
  expect(receipt.status).toBe("lost");
  expect(has_secret(JSON.stringify(receipt))).toBe(false);
  await expect_nowhere("after the loss");
});

test("a deploy that fails, at whichever step, repeats no secret: not to the caller, not in the log, not in a file", async () => {
  const task = "TASK-20251029-225319-45548b6a";
  const failures: [string, string[], string[]][] = [
    ["no program", [], ["no-such-program"]],
    ["no directory", ["--cwd", "/no/such/directory"], ["true"]],
    ["no task", ["--task", task], ["true"]],
    ["a type that is none", ["--type", "!"], ["true"]],
    ["a variable that is not there", ["--env", "NO_SUCH_VARIABLE"], ["true"]],
  ];
  for (const [what, args, command] of failures) {
    const ran = await deploy([...args, "--json"], command);
    expect(ran.code, what).not.toBe(0);
    expect(ran.stderr, what).toMatch(/^supervisor: .*\n$/);
    expect(has_secret(ran.stdout + ran.stderr), what).toBe(false);
  }
  // execve(2) takes no longer variable than MAX_ARG_STRLEN: the host fails to start the program.
  writeFileSync(join(callers, "env"), `LONG=${SECRETS.file}${"x".repeat(200_000)}\n`);
  const ran = await deploy(["--json"]);
  expect(ran).toMatchObject({ code: 1, stderr: expect.stringMatching(/^supervisor: .*E2BIG.*\n$/) });
  expect(has_secret(ran.stdout + ran.stderr)).toBe(false);
  await expect_nowhere("after deploys that failed");
});

test("a line of --env-file that is no variable is named by its number, not repeated: it may be the rest of a secret", async () => {
  writeFileSync(join(callers, "env"), `KEY=-----BEGIN-----\n${SECRETS.file}\n`);
  const ran = await deploy(["--json"]);
  expect(ran).toMatchObject({ code: 2, stderr: expect.stringMatching(/^supervisor: --env-file line 2: .*\n$/) });
  expect(has_secret(ran.stdout + ran.stderr)).toBe(false);
});

test("while a deploy waits for its agent's end, the secret of its --env is not in its own command line", async () => {
  const waiting = deploy(["--wait"]);
  const agent = await eventually("the agent", async () => (await supervisor.client.call("list_agents"))[0]);
  await supervisor.printed(agent, "ready");
  expect(processes_with("cmdline")).toEqual([]);
  await supervisor.client.call("kill", { params: { agent: agent.id } });
  expect((await waiting).code).not.toBe(0);
});

test("what waits in the queue keeps its environment in the tmux server's memory alone: not in a command line of tmux, not in a file; it is whole when its turn comes, under the next supervisor", async () => {
  await supervisor.signal_daemon("SIGTERM");
  // Says what tmux is called with, and is tmux.
  const real = (await supervisor.shell("command -v tmux")).stdout.trim();
  const calls = join(callers, "tmux-calls");
  mkdirSync(join(callers, "bin"));
  writeFileSync(join(callers, "bin", "tmux"), `#!/bin/sh\nprintf '%s\\n' "$*" >> '${calls}'\nexec '${real}' "$@"\n`, {
    mode: 0o755,
  });
  supervisor.env.PATH = `${join(callers, "bin")}:${supervisor.env.PATH}`;
  writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ limits: { max_concurrent: 1 } }));
  await supervisor.boot(["--log-level", "debug"]);
  const first = await supervisor.deploy({ command: [fixture("idles")] });
  // As much as programs may have: many large variables, and one with all that quotes and escapes.
  const odd = `a'b"c\\d\te\nf;g#h$(i)é`;
  const large = Array.from({ length: 10 }, (_, number) => `LARGE_${number}=${String(number).repeat(100_000)}`);
  writeFileSync(join(callers, "env"), [`FROM_FILE=${SECRETS.file}`, ...large].join("\n"));
  const id = (
    await deploy(["--env", `ODD=${odd}`], ["sh", "-c", "env -0 | sha256sum; echo ready; exec sleep 1000"])
  ).stdout.trim();
  const queued = await supervisor.client.call("get_agent", { params: { agent: id } });
  expect(queued.status).toBe("queued");
  await expect_nowhere("while it waits");
  await supervisor.signal_daemon("SIGKILL");
  await supervisor.boot(["--log-level", "debug"]);
  await expect_nowhere("while it waits for the next supervisor");
  await supervisor.client.call("kill", { params: { agent: first.id } });
  await supervisor.printed(queued, "ready");
  const { process } = await supervisor.client.call("get_agent", { params: { agent: id } });
  const own = readFileSync(`/proc/${process?.pid}/environ`, "utf8").split("\0");
  expect(own).toEqual(expect.arrayContaining([`FROM_FILE=${SECRETS.file}`, `ODD=${odd}`, ...large]));
  await expect_nowhere("when it runs");
  const called = readFileSync(calls, "utf8");
  expect(called).toContain("source-file -");
  expect(has_secret(called), "a command line of tmux").toBe(false);
  // What is held is base64: the secret looks in three ways, by where it begins.
  const disguised = ["", "x", "xx"].map((lead) =>
    Buffer.from(lead + SECRETS.option)
      .toString("base64url")
      .slice(4, -4),
  );
  for (const one of disguised) expect(called).not.toContain(one);
  const { stdout } = await supervisor.shell(`${real} -S ${dirname(supervisor.socket)}/t.sock show-options -s`);
  expect(stdout).not.toContain("@queued_");
});
