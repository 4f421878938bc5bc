/** What the supervisor makes is its owner's alone: modes whatever the umask, and other users who try. */
import { spawnSync } from "node:child_process";
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { walk } from "../support/files.ts";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

let supervisor: TestSupervisor;
afterEach(() => supervisor.dispose());

/** Whatever is below the workspace and the runtime directory, that its owner does not have to itself. */
function expect_private(when: string): void {
  const found = [supervisor.workspace, join(supervisor.root, `supervisor-${process.getuid?.()}`)].flatMap(walk);
  const modes = found.map(({ path, facts }) => `${(facts.mode & 0o7777).toString(8)} ${path}`);
  const wrong = found
    .map(({ facts }, index) => ({ facts, line: modes[index] as string }))
    .filter(({ facts }) => (facts.mode & 0o7777) !== (facts.isDirectory() ? 0o700 : 0o600))
    .map(({ line }) => line);
  expect(wrong, when).toEqual([]);
}

/** By what makes them, so that a file that is not made any more does not go unseen. */
function expect_present(...patterns: RegExp[]): void {
  const paths = walk(supervisor.root).map(({ path }) => path);
  for (const pattern of patterns)
    expect(
      paths.filter((path) => pattern.test(path)),
      String(pattern),
    ).not.toEqual([]);
}

describe.each(["000", "077", "022"])("with umask %s", (text) => {
  test("directories are 0700, sockets and files 0600, while agents begin, report, print, end, are kept, archived and adopted", async () => {
    supervisor = await TestSupervisor.prepare();
    const before = process.umask(Number.parseInt(text, 8));
    try {
      await supervisor.boot();
    } finally {
      process.umask(before);
    }
    expect_private("after the start");
    const deploy = (options: object) =>
      supervisor.deploy({ command: [fixture("idles")], prompt: "p", stdout: "pipe", mcp: true, ...options });
    const agents = [await deploy({}), await deploy({ stdout: "pty", mode: "interactive" }), await deploy({})];
    for (const agent of agents) {
      await supervisor.printed(agent, "ready");
      const params = { agent: agent.id };
      await supervisor.client.call("progress", { params, body: { status: "s", message: "m" } });
      await supervisor.client.call("finding", { params, body: { finding_type: "t", severity: "s", message: "m" } });
    }
    expect_present(
      /daemon\.json$/,
      /AGENT_REGISTRY\.json$/,
      /\.json\.bak$/,
      /agent_prompt_/,
      /_stream\.jsonl$/,
      /_terminal\.log$/,
    );
    expect_present(
      /_progress\.jsonl$/,
      /_findings\.jsonl$/,
      /deploy_.*\.json$/,
      /agent_mcp_/,
      /tmux\.conf$/,
      /canary$/,
    );
    expect_present(/\/d\.sock$/, /\/t\.sock$/, /\/\d{6}-[0-9a-f]{6}\.sock$/);
    expect_private("while they run");
    const held = openSync(agents[0]?.tracked_files.log_file as string, "r");
    const [first, second, third] = agents.map((one) => ({ agent: one.id }));
    await supervisor.client.call("kill", { params: first, body: { cleanup: "archive" } });
    await supervisor.client.call("kill", { params: second, body: { cleanup: "keep" } });
    expect_present(/archive\/.*\.gz$/, /trash\/.*\.jsonl$/);
    expect_private("after an archive and a keep, with a file that waits for its holder");
    closeSync(held);
    await supervisor.client.call("gc");
    expect_private("after a sweep");
    await supervisor.signal_daemon("SIGKILL");
    expect_private("after the daemon's death");
    await supervisor.boot();
    expect_private("after the adoption");
    await supervisor.client.call("kill", { params: third });
    expect_private("at last");
  });
});

const CAN_CHANGE_USER = process.getuid?.() === 0 && spawnSync("setpriv", ["--version"]).status === 0;

describe.skipIf(!CAN_CHANGE_USER)("another user (needs root and setpriv)", () => {
  const CONNECT = `
    const { createConnection } = require("node:net");
    const { readdirSync, readFileSync } = require("node:fs");
    const [dir, ...sockets] = process.argv.slice(1);
    const connects = (path) => new Promise((resolve) => createConnection(path)
      .once("connect", () => resolve("connected")).once("error", (error) => resolve(error.code)));
    let listing = "listed";
    try { readdirSync(dir) } catch (error) { listing = error.code }
    Promise.all(sockets.map(connects)).then((answers) => { console.log(JSON.stringify([listing, ...answers])); process.exit() });`;

  function as_another(dir: string, sockets: string[]): string[] {
    const ran = spawnSync(
      "setpriv",
      ["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, "-e", CONNECT, dir, ...sockets],
      { encoding: "utf8", env: { PATH: process.env.PATH }, cwd: "/" },
    );
    expect(ran.stderr).toBe("");
    return JSON.parse(ran.stdout);
  }

  test("cannot look into the runtime directory, nor connect to the daemon, a host or the tmux server", async () => {
    supervisor = await TestSupervisor.start();
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const dir = dirname(supervisor.socket);
    const sockets = [supervisor.socket, agent.host?.socket as string, join(dir, "t.sock")];
    // Up to the runtime directory everybody may pass, as in /run/user or /tmp.
    chmodSync(supervisor.root, 0o755);
    expect(as_another(dir, sockets)).toEqual(["EACCES", "EACCES", "EACCES", "EACCES"]);
    expect(as_another(supervisor.workspace, [])).toEqual(["EACCES"]);
    // Nor by the sockets' own modes, should somebody open the directories.
    const places = [dirname(dir), dir];
    for (const place of places) chmodSync(place, 0o755);
    expect(as_another(dir, sockets)).toEqual(["listed", "EACCES", "EACCES", "EACCES"]);
    for (const place of places) chmodSync(place, 0o700);
    expect((await supervisor.client.call("health")).running).toBe(1);
  });

  test("who made the runtime directory first is not moved into", async () => {
    supervisor = await TestSupervisor.prepare();
    const base = join(supervisor.root, `supervisor-${process.getuid?.()}`);
    chmodSync(supervisor.root, 0o777);
    spawnSync("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", "mkdir", base], { cwd: "/" });
    expect(statSync(base).uid).toBe(65534);
    const ran = await supervisor.cli(["start"]);
    expect(ran).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: .*belongs to another user.*\n$/),
    });
    expect(statSync(base)).toMatchObject({ uid: 65534 });
  });
});
