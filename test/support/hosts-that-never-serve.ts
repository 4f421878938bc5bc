/** A supervisor whose hosts never come to serve, because another program runs in their place. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import { processes_marked, SUPERVISOR, type TestSupervisor } from "./supervisor.ts";

/** Deaf to the end of its pane, and to everything but KILL. */
export const HANGS = "process.on('SIGHUP', () => {}); process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6);";

/** Boots it with hosts that run this script instead. */
export async function boot_with_host(supervisor: TestSupervisor, script: string): Promise<void> {
  const program = dirname(SUPERVISOR);
  const copy = join(supervisor.root, "install");
  mkdirSync(copy);
  cpSync(program, join(copy, "dist"), { recursive: true });
  cpSync(join(program, "../package.json"), join(copy, "package.json"));
  symlinkSync(join(program, "../node_modules"), join(copy, "node_modules"));
  writeFileSync(join(copy, "dist/agent-host.cjs"), script);
  await supervisor.boot([], join(copy, "dist/supervisor.js"));
}

/** The hosts that run, as pid and command line. */
export const running_hosts = (supervisor: TestSupervisor) =>
  processes_marked(supervisor.root).filter((one) => /^\d+ \S*node .*agent-host\.cjs/.test(one));

/** Asserts that no host runs, and that none left a file in the runtime directory. */
export async function expect_no_host(supervisor: TestSupervisor): Promise<void> {
  expect(running_hosts(supervisor)).toEqual([]);
  const { runtime_dir } = await supervisor.client.call("health");
  expect(readdirSync(runtime_dir).filter((name) => /^\d{6}-/.test(name))).toEqual([]);
}

/** Asserts that a deploy was undone: no agent, no host, no file of it. */
export async function expect_no_deploy(supervisor: TestSupervisor): Promise<void> {
  expect(await supervisor.client.call("list_agents", { query: { all: true } })).toEqual([]);
  await expect_no_host(supervisor);
  for (const task of readdirSync(supervisor.workspace).filter((name) => name.startsWith("TASK-"))) {
    const registry = join(supervisor.workspace, task, "AGENT_REGISTRY.json");
    if (existsSync(registry)) expect(JSON.parse(readFileSync(registry, "utf8")).agents).toEqual([]);
    expect(readdirSync(join(supervisor.workspace, task)).filter((name) => name.startsWith("agent_"))).toEqual([]);
  }
}
