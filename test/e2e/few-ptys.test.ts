import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { needs } from "../support/disks.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { devpts_mounts, NO_DEVPTS, with_few_ptys } from "../support/scarce.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

// An agent has two: its pane's and its own.
describe.skipIf(NO_DEVPTS).each([
  { ptys: 4, whose: "its pane" },
  { ptys: 5, whose: "the agent itself" },
])(needs(NO_DEVPTS, "with ptys for two agents, and for a third none for $whose"), ({ ptys }) => {
  let supervisor: TestSupervisor;
  const machine = devpts_mounts();
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    with_few_ptys(supervisor, ptys);
    await supervisor.boot();
  });
  afterEach(async () => {
    await supervisor.dispose();
    expect(devpts_mounts(), "the machine's terminals are as they were").toEqual(machine);
  });

  test("a deploy says so in one line and leaves nothing, the others lose nothing, and the next one works when there are some again", async () => {
    const deploy = () => supervisor.deploy({ command: [fixture("prints-numbers"), "0.01"] });
    const [first, second] = [await deploy(), await deploy()] as [AgentRecord, AgentRecord];
    for (const pass of [1, 2, 3]) {
      const refused = await supervisor.cli(["deploy", "--", "true"]);
      expect(refused, `pass ${pass}`).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("no terminal (pty) is free; "),
      });
      expect(refused.stderr.trim().split("\n"), refused.stderr).toHaveLength(1);
      expect(refused.stderr).not.toContain("No space left");
    }
    const known = [first, second].map(({ id }) => id).sort();
    expect(
      supervisor
        .registry_on_disk()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(known);
    const files = readdirSync(supervisor.workspace, { recursive: true, encoding: "utf8" });
    const ids = new Set(
      files.flatMap((name) => /[a-z]+-\d{6}-[0-9a-f]{6}/.exec(name.split("/").pop() ?? "")?.[0] ?? []),
    );
    expect([...ids].sort()).toEqual(known);
    const { tmux_socket } = await supervisor.client.call("health");
    const sessions = await supervisor.shell(`tmux -S ${tmux_socket} list-sessions -F '#{session_name}'`);
    expect(sessions.stdout.trim().split("\n").sort()).toEqual([first, second].map((one) => one.tmux_session).sort());

    const seen = (await supervisor.log_text(second)).length;
    await eventually("the others to print on", async () => (await supervisor.log_text(second)).length > seen);
    for (const one of [first, second]) expect(gap_or_double(await supervisor.log_text(one))).toBe(null);
    expect(await supervisor.client.call("kill", { params: { agent: first.id } })).toMatchObject({ success: true });
    const third = await deploy();
    await supervisor.printed(third, "1\n");
    for (const one of [second, third])
      expect(await supervisor.client.call("kill", { params: { agent: one.id } })).toMatchObject({ success: true });
  });
});
