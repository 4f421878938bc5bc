import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive, process_ref_of } from "../../src/drivers/procfs.ts";
import { Bystander, CGROUP_PLACE, end_exactly, HAS_CGROUPS, signals_of } from "../support/processes.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe("nobody else is signalled", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  const kill = (agent: AgentRecord) =>
    supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 60_000 } });
  /** An agent with the command line of every bystander here. */
  const deploy_recorder = () =>
    supervisor.deploy({
      command: [fixture("records-signals")],
      env: {
        PATH: supervisor.env.PATH as string,
        TEST_MARK: supervisor.root,
        RECORD: join(supervisor.root, "agent"),
        OBEYS: "1",
      },
    });

  test("for having the agent's command line", async () => {
    const bystander = await Bystander.start(supervisor, "same");
    const agent = await deploy_recorder();
    await eventually("the agent to be ready", () => signals_of(join(supervisor.root, "agent")) === "ready\n");
    expect(await kill(agent)).toMatchObject({ success: true, exit: { code: 0 } });
    expect(readFileSync(join(supervisor.root, "agent"), "utf8")).toBe("ready\nTERM\n");
    bystander.expect_untouched();
    await bystander.end();
  });

  test("for being in a person's own tmux server, even in a session named like the agent's", async () => {
    const agent = await deploy_recorder();
    const server = join(supervisor.root, "mine");
    const tmux = (rest: string) =>
      supervisor.shell(`env -u TMUX RECORD=${supervisor.root}/in-tmux tmux -S ${server} ${rest}`);
    await tmux(`-f /dev/null new-session -d -s ${agent.tmux_session} ${fixture("records-signals")}`);
    const pid = Number((await tmux("display-message -p '#{pane_pid}'")).stdout);
    const server_pid = Number((await tmux("display-message -p '#{pid}'")).stdout);
    const person = process_ref_of(server_pid) as ProcessRef;
    const bystander = await Bystander.found(pid, `${supervisor.root}/in-tmux`);
    expect(await kill(agent)).toMatchObject({ success: true, session_killed: true });
    bystander.expect_untouched();
    expect(is_alive(person)).toBe(true);
    expect((await tmux("list-sessions -F '#{session_name}'")).stdout).toBe(`${agent.tmux_session}\n`);
    await bystander.end();
    await tmux("kill-server");
    await eventually("the person's server to be gone", () => !is_alive(person));
  });

  test("for following the log: it is named as a holder, the file waits, and it reads on", async () => {
    const agent = await deploy_recorder();
    const tail = spawn("tail", ["-f", agent.tracked_files.log_file as string], { stdio: "ignore" });
    const ref = process_ref_of(tail.pid as number) as ProcessRef;
    await eventually("tail to hold the log", async () =>
      (await supervisor.client.call("verify", { body: { agent: agent.id } })).files.some((file) =>
        file.holders.some((one) => one.pid === tail.pid),
      ),
    );
    const receipt = await kill(agent);
    expect(receipt.cleanup.files_deferred).toMatchObject([
      {
        path: agent.tracked_files.log_file,
        verdict: "held",
        holders: [{ pid: tail.pid, command: "tail", whose: "other" }],
      },
    ]);
    expect(receipt.signals.flatMap((one) => one.pids)).not.toContain(tail.pid);
    expect(is_alive(ref)).toBe(true);
    await end_exactly(ref);
    expect((await supervisor.client.call("gc", { body: {} })).removed).toHaveLength(1);
  });

  test("for having got the pid of an agent, or of its host, that is gone; nor for being in a group that an edited registry names", async () => {
    const agent = await deploy_recorder();
    const { host } = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
    const bystanders = await Promise.all(
      ["as-agent", "as-host", "in-group"].map((name) => Bystander.start(supervisor, name)),
    );
    const [as_agent, as_host, in_group] = bystanders as [Bystander, Bystander, Bystander];
    await supervisor.signal_daemon("SIGKILL");
    await end_exactly(host as ProcessRef);
    // The terminal goes with the host, and the agent with its hang-up.
    await eventually("the agent to be gone", () => !is_alive(agent.process as ProcessRef));

    const group = join(CGROUP_PLACE, `bystander-${process.pid}`);
    if (HAS_CGROUPS) {
      mkdirSync(group);
      writeFileSync(`${group}/cgroup.procs`, String(in_group.ref.pid));
    }
    const path = join(agent.tracked_files.log_file as string, "../../AGENT_REGISTRY.json");
    const registry = JSON.parse(readFileSync(path, "utf8"));
    Object.assign(registry.agents[0].process, { pid: as_agent.ref.pid });
    Object.assign(registry.agents[0].host, { pid: as_host.ref.pid });
    registry.agents[0].cgroups = [{ path: group, version: 2, controllers: [] }];
    writeFileSync(path, JSON.stringify(registry));

    await supervisor.boot();
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ status: "lost", signals: [], cleanup: { processes_ended: [], survivors: [] } });
    for (const one of bystanders) one.expect_untouched();
    for (const one of bystanders) await one.end();
    if (HAS_CGROUPS) {
      await eventually("the group to be empty", () =>
        readFileSync(`${group}/cgroup.events`, "utf8").includes("populated 0"),
      );
      rmdirSync(group);
    }
  });
});
