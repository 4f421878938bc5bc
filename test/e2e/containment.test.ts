import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive, process_ref_of } from "../../src/drivers/procfs.ts";
import { CGROUP_PLACE, end_exactly, HAS_CGROUPS, HAS_LIMITS } from "../support/processes.ts";
import { eventually, fixture, processes_marked, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
afterEach(() => supervisor.dispose());

const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
const kill = (agent: AgentRecord, grace_ms?: number) =>
  supervisor.client.call("kill", { params: { agent: agent.id }, body: { grace_ms } });

type Escapees = Record<"background" | "nohup" | "setsid" | "double" | "scrubbed" | "daemon", ProcessRef>;

async function escapees_of(agent: AgentRecord): Promise<Escapees> {
  await supervisor.printed(agent, "ready");
  const lines = (await supervisor.log_text(agent)).trim().split("\n").slice(0, -1);
  const found = Object.fromEntries(
    lines.map((line) => [line.split(" ")[0] as string, process_ref_of(Number(line.split(" ")[1])) as ProcessRef]),
  );
  expect(Object.keys(found)).toEqual(["background", "nohup", "setsid", "double", "scrubbed", "daemon"]);
  return found as Escapees;
}
const living = (escapees: Escapees) => Object.entries(escapees).flatMap(([kind, one]) => (is_alive(one) ? [kind] : []));

describe.skipIf(!HAS_CGROUPS)("where control groups can be made", () => {
  test("none of six kinds of escapees outlives a kill, two of them double-forked with an empty environment", async () => {
    supervisor = await TestSupervisor.start();
    const agent = await supervisor.deploy({ command: [fixture("leaves-escapees")] });
    const escapees = await escapees_of(agent);
    expect(living(escapees)).toHaveLength(6);
    const receipt = await kill(agent);
    expect(living(escapees)).toEqual([]);
    expect(receipt).toMatchObject({
      success: true,
      containment: "cgroup",
      exit: { code: 0 },
      notes: [],
      cleanup: { handles: "clear", survivors: [], files_deferred: [] },
    });
    // The nohup one is deaf to HUP alone: TERM was enough for all.
    expect(receipt.signals.map((one) => one.signal)).toEqual(["SIGTERM"]);
    expect(receipt.cleanup.processes_ended).toHaveLength(7);
  });

  test("none of them outlives the agent's own exit, nor a host that is killed, with a daemon or without one", async () => {
    supervisor = await TestSupervisor.start();
    const agents = await Promise.all([1, 2, 3].map(() => supervisor.deploy({ command: [fixture("leaves-escapees")] })));
    const [exits, lost, alone] = agents as [AgentRecord, AgentRecord, AgentRecord];
    const escapees = await Promise.all(agents.map(escapees_of));
    process.kill(exits.process?.pid as number, "SIGKILL");
    process.kill((await get(lost)).host?.pid as number, "SIGKILL");
    for (const agent of [exits, lost]) {
      const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
      expect(receipt, agent.id).toMatchObject({ containment: "cgroup", cleanup: { survivors: [], handles: "clear" } });
    }
    await supervisor.signal_daemon("SIGKILL");
    process.kill(alone.process?.pid as number, "SIGTERM");
    await eventually("the host to end the last agent by itself", () => escapees.flatMap(living).length === 0);
    const record = join(agents_dir(alone), "exits", `${alone.id}.json`);
    await eventually("its exit record", () => existsSync(record));
    expect(supervisor.cgroup_directories().filter(existsSync)).toEqual([]);
    await supervisor.boot();
    expect(await supervisor.client.call("wait", { params: { agent: alone.id } })).toMatchObject({
      containment: "cgroup",
    });
  });

  test("a process that writes itself into another group is found by session, tree and cookie", async () => {
    supervisor = await TestSupervisor.start();
    const desert = `echo 0 >${CGROUP_PLACE}/cgroup.procs; setsid sleep 1000 & echo moved; wait`;
    const agent = await supervisor.deploy({ command: ["sh", "-c", desert] });
    await supervisor.printed(agent, "moved");
    const [group] = agent.cgroups;
    expect(readFileSync(`${group?.path}/cgroup.procs`, "utf8")).toBe("");
    await eventually("its helper", async () =>
      processes_marked(supervisor.root).some((one) => /^\d+ sleep 1000 $/.test(one)),
    );
    const receipt = await kill(agent);
    expect(receipt).toMatchObject({ success: true, cleanup: { survivors: [] } });
    expect(receipt.cleanup.processes_ended.map((one) => one.command).sort()).toEqual(["sh", "sleep"]);
  });

  test("an agent that forks steadily, deaf to TERM, is ended with all that it forked", async () => {
    supervisor = await TestSupervisor.start();
    const agent = await supervisor.deploy({ command: [fixture("forks-steadily")] });
    await supervisor.printed(agent, "forked 100\n");
    const receipt = await kill(agent, 100);
    expect(receipt).toMatchObject({ success: true, exit: { signal: "SIGKILL" }, cleanup: { survivors: [] } });
    expect(receipt.cleanup.processes_ended.length).toBeGreaterThan(100);
  });

  test("a supervisor that an agent runs keeps agents of its own, and ends with that agent, and they with it", async () => {
    supervisor = await TestSupervisor.start();
    const inner = join(supervisor.root, "inner");
    const runtime = join(supervisor.root, "r");
    mkdirSync(runtime);
    const sv = `${process.execPath} ${SUPERVISOR}`;
    const script = `${sv} start & until ${sv} deploy --clean-env -- ${fixture("leaves-escapees")}; do sleep 0.1; done; ${sv} ps --json; echo deployed; wait`;
    const agent = await supervisor.deploy({
      command: ["sh", "-c", script],
      env: {
        PATH: supervisor.env.PATH as string,
        SUPERVISOR_WORKSPACE: inner,
        XDG_RUNTIME_DIR: runtime,
        TEST_MARK: supervisor.root,
      },
      stdout: "pipe",
    });
    await supervisor.printed(agent, "deployed\n");
    const log = await supervisor.log_text(agent);
    const [nested] = JSON.parse(log.split("\n").find((line) => line.startsWith("[{")) as string) as AgentRecord[];
    expect(nested?.containment).toBe("cgroup");
    expect(nested?.cgroups[0]?.path).toContain(agent.cgroups[0]?.path);
    const receipt = await kill(agent, 3000);
    expect(receipt).toMatchObject({ success: true, cleanup: { survivors: [] } });
    expect(is_alive(nested?.process as ProcessRef)).toBe(false);
    rmSync(runtime, { recursive: true });
  });

  test("the groups of a crashed run are removed at the next start, if nobody is in them", async () => {
    supervisor = await TestSupervisor.prepare();
    await supervisor.boot();
    const { containment } = await supervisor.client.call("health");
    expect(containment).toMatchObject({ mode: "cgroup", place: CGROUP_PLACE });
    await supervisor.signal_daemon("SIGTERM");
    const directory = supervisor.cgroup_directories().find((one) => one.startsWith(CGROUP_PLACE)) as string;
    const [empty, populated, other] = ["101112-aaaaaa", "101112-bbbbbb", "not-an-agent"].map((name) =>
      join(directory, name),
    ) as [string, string, string];
    for (const dir of [directory, empty, populated, other]) mkdirSync(dir);
    const somebody = spawn("sleep", ["1000"], { stdio: "ignore" });
    writeFileSync(`${populated}/cgroup.procs`, String(somebody.pid));
    await supervisor.boot();
    expect(
      readdirSync(directory)
        .filter((name) => /-/.test(name))
        .sort(),
    ).toEqual(["101112-bbbbbb", "not-an-agent"]);
    await end_exactly(process_ref_of(somebody.pid as number) as ProcessRef);
    await eventually("the group to be empty", () =>
      readFileSync(`${populated}/cgroup.events`, "utf8").includes("populated 0"),
    );
    for (const dir of [populated, other, directory]) rmdirSync(dir);
  });

  test("a directory for groups in which none is, left by a crash between its making and the group's, goes at the next start, and with gc and stop", async () => {
    supervisor = await TestSupervisor.prepare();
    const directory = supervisor.cgroup_directories().find((one) => one.startsWith(CGROUP_PLACE)) as string;
    mkdirSync(directory);
    await supervisor.boot();
    expect(existsSync(directory)).toBe(false);
    mkdirSync(directory);
    const found = { what: "empty_group", path: directory, why: "no group is in it" };
    expect((await supervisor.client.call("gc", { body: { dry_run: true } })).items).toMatchObject([found]);
    expect(existsSync(directory)).toBe(true);
    expect((await supervisor.client.call("gc", { body: {} })).items).toMatchObject([found]);
    expect(existsSync(directory)).toBe(false);
    mkdirSync(directory);
    const somebody = spawn("sleep", ["1000"], { stdio: "ignore" });
    const sleeper = process_ref_of(somebody.pid as number) as ProcessRef;
    onTestFinished(() => end_exactly(sleeper));
    writeFileSync(`${directory}/cgroup.procs`, String(somebody.pid));
    expect((await supervisor.client.call("gc", { body: {} })).items).toEqual([]);
    expect(existsSync(directory)).toBe(true);
    await end_exactly(sleeper);
    await eventually("nobody to be in it", () =>
      readFileSync(`${directory}/cgroup.events`, "utf8").includes("populated 0"),
    );
    await supervisor.signal_daemon("SIGTERM");
    expect(existsSync(directory)).toBe(false);
  });

  test("a group that cannot be made, or cannot be joined, is a note in the receipt and no failure", async () => {
    supervisor = await TestSupervisor.start();
    const directory = supervisor.cgroup_directories().find((one) => one.startsWith(CGROUP_PLACE)) as string;
    mkdirSync(directory);
    writeFileSync(`${directory}/cgroup.max.descendants`, "0");
    const unmade = await supervisor.deploy({ command: [fixture("idles")] });
    expect(unmade).toMatchObject({ containment: "cookie", cgroups: [] });
    expect((await kill(unmade)).notes.join()).toMatch(/the control group .* could not be made/);
    // The failed deploy's neighbours go on using the directory, so it was left; in a threaded one, no child can be joined (EOPNOTSUPP).
    if (!existsSync(directory)) mkdirSync(directory);
    writeFileSync(`${directory}/cgroup.max.descendants`, "max");
    writeFileSync(`${directory}/cgroup.type`, "threaded");
    const unjoined = await supervisor.deploy({ command: [fixture("idles")] });
    expect(unjoined).toMatchObject({ containment: "cookie", cgroups: [] });
    const receipt = await kill(unjoined);
    expect(receipt).toMatchObject({ success: true, containment: "cookie" });
    expect(receipt.notes.join()).toMatch(/could not be put into its control group/);
  });

  test("CPU and memory of a running agent stand in its status", async () => {
    supervisor = await TestSupervisor.start();
    const agent = await supervisor.deploy({
      command: ["perl", "-e", '$x = "x" x 50_000_000; $| = 1; print "ready\\n"; 1 while 1'],
    });
    await supervisor.printed(agent, "ready");
    await eventually("CPU time to be used", async () => ((await get(agent)).usage?.cpu_usec ?? 0) > 200_000);
    const { usage } = await get(agent);
    expect(usage).toMatchObject({ processes: 1, oom_kills: 0, cpu_source: "cgroup" });
    expect(usage?.memory_bytes).toBeGreaterThan(50_000_000);
    expect((await supervisor.cli(["status", agent.id])).stdout).toMatch(/uses +cpu .*s, memory .*MiB.*, 1 process\n/);
    await kill(agent);
    expect((await get(agent)).usage).toBeNull();
  });
});

describe.skipIf(!HAS_LIMITS)("where limits can be set", () => {
  test("an agent out of memory ends alone, and its receipt says why", async () => {
    supervisor = await TestSupervisor.start();
    const neighbour = await supervisor.deploy({ command: [fixture("idles")], memory_max: 64 * 1024 * 1024 });
    const script = 'my @all; push @all, "x" x 1_000_000 while @all < 500; print "never\\n"; sleep 1000';
    const agent = await supervisor.deploy({ command: ["perl", "-e", script], memory_max: 64 * 1024 * 1024 });
    expect(agent).toMatchObject({ containment: "cgroup", limits: { memory_max: 64 * 1024 * 1024, pids_max: null } });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ status: "failed", cause: "exited", exit: { signal: "SIGKILL" }, oom_kills: 1 });
    expect(receipt.reason).toContain("out of memory");
    expect(receipt.notes.join()).toContain("the kernel killed 1 process of the agent (its limit is 67108864 bytes)");
    expect(await get(neighbour)).toMatchObject({ status: "running", usage: { oom_kills: 0, memory_source: "cgroup" } });
  });

  test("a helper out of memory does not end its agent, and is counted", async () => {
    supervisor = await TestSupervisor.start();
    const script = `perl -e 'push @all, "x" x 1_000_000 while 1'; echo "helper: $?"; sleep 1000`;
    const agent = await supervisor.deploy({ command: ["bash", "-c", script], memory_max: 64 * 1024 * 1024 });
    await supervisor.printed(agent, "helper: 137\n");
    expect(await get(agent)).toMatchObject({ status: "running", usage: { oom_kills: 1 } });
    expect((await kill(agent)).notes.join()).toContain("out of memory: the kernel killed 1 process");
  });

  test("an agent cannot fork past its limit", async () => {
    supervisor = await TestSupervisor.start();
    const script = `$| = 1; my $n = 0; while (defined(my $c = fork())) { if (!$c) { sleep 1000; exit } $n++ } print "$n: $!\\n"; sleep 1000`;
    const { code, stdout } = await supervisor.cli([
      "deploy",
      "--clean-env",
      "--env",
      `TEST_MARK=${supervisor.root}`,
      "--json",
      "--pids-max",
      "20",
      "--",
      "/usr/bin/perl",
      "-e",
      script,
    ]);
    expect(code).toBe(0);
    const agent = JSON.parse(stdout) as AgentRecord;
    await supervisor.printed(agent, "19: Resource temporarily unavailable\n");
    expect((await get(agent)).usage?.processes).toBe(20);
    expect((await supervisor.cli(["status", agent.id])).stdout).toContain("at most 20 processes and threads");
    expect(await kill(agent)).toMatchObject({ success: true, cleanup: { survivors: [] } });
  });

  test("an agent gets no more CPU than its limit", async () => {
    supervisor = await TestSupervisor.start();
    const began = performance.now();
    const agent = await supervisor.deploy({ command: ["perl", "-e", "1 while 1"], cpu_max: 0.1 });
    await eventually("CPU time to be used", async () => ((await get(agent)).usage?.cpu_usec ?? 0) > 200_000);
    const used_ms = ((await get(agent)).usage?.cpu_usec ?? 0) / 1000;
    // A period's quota may be used at once, at each end of the time.
    expect(used_ms).toBeLessThan((performance.now() - began) * 0.1 + 20);
    expect(used_ms).toBeGreaterThan(199);
  });
});

describe("without control groups", () => {
  test("the escapees that keep a session, a group, a parent or the environment end; those that keep none are left alone, and named if they hold a file", async () => {
    supervisor = await TestSupervisor.start({ SUPERVISOR_CONTAINMENT: "cookie" });
    const agent = await supervisor.deploy({ command: [fixture("leaves-escapees")] });
    expect(agent).toMatchObject({ containment: "cookie", cgroups: [] });
    const escapees = await escapees_of(agent);
    onTestFinished(async () => {
      await end_exactly(escapees.scrubbed);
      await end_exactly(escapees.daemon);
    });
    const receipt = await kill(agent);
    expect(living(escapees)).toEqual(["scrubbed", "daemon"]);
    expect(receipt).toMatchObject({ containment: "cookie", cleanup: { handles: "held", survivors: [] } });
    // The one that kept its standard input holds the prompt.
    expect(receipt.cleanup.files_deferred).toMatchObject([
      { path: agent.tracked_files.prompt_file, holders: [{ pid: escapees.scrubbed.pid, whose: "other" }] },
      {
        path: agent.tracked_files.log_file,
        holders: [{ pid: escapees.daemon.pid, command: "sleep", whose: "other" }],
      },
    ]);
    const signalled = receipt.signals.flatMap((one) => one.pids);
    expect(signalled).not.toContain(escapees.scrubbed.pid);
    expect(signalled).not.toContain(escapees.daemon.pid);
    await end_exactly(escapees.scrubbed);
    await end_exactly(escapees.daemon);
    expect((await supervisor.client.call("gc", { body: {} })).removed).toHaveLength(2);
  });

  test("a limit is refused before anything is made, with what to do", async () => {
    supervisor = await TestSupervisor.start({ SUPERVISOR_CONTAINMENT: "cookie" });
    const refused = await supervisor.cli(["deploy", "--memory-max", "1G", "--cpu-max", "0.5", "--", "true"]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^supervisor: --memory-max, --cpu-max cannot be set: .*docs\/containment\.md.*\n$/);
    expect(readdirSync(supervisor.workspace).filter((name) => name.startsWith("TASK-"))).toEqual([]);
    await expect(supervisor.deploy({ command: ["true"], pids_max: 5 })).rejects.toMatchObject({
      code: "limits_unavailable",
    });
    expect((await supervisor.cli(["deploy", "--memory-max", "lots", "--", "true"])).code).toBe(2);
    expect((await supervisor.cli(["deploy", "--cpu-max", "-1", "--", "true"])).code).toBe(2);
  });

  test("usage is added up from the agent's processes, and health and doctor say what is in force", async () => {
    supervisor = await TestSupervisor.start({ SUPERVISOR_CONTAINMENT: "cookie" });
    const agent = await supervisor.deploy({ command: [fixture("leaves-helpers")] });
    await supervisor.printed(agent, "ready");
    await eventually("four processes", async () => (await get(agent)).usage?.processes === 4);
    expect((await get(agent)).usage).toMatchObject({
      memory_source: "processes",
      cpu_source: "processes",
      memory_peak_bytes: null,
    });
    const { containment } = await supervisor.client.call("health");
    expect(containment).toMatchObject({ mode: "cookie", place: null });
    const doctor = await supervisor.cli(["doctor", "--json"]);
    const check = JSON.parse(doctor.stdout).checks.find((one: { name: string }) => one.name === "containment");
    expect(check.detail).toBe(containment?.detail);
    await supervisor.says(containment?.detail as string);
  });
});

const agents_dir = (agent: AgentRecord) => join(agent.tracked_files.log_file as string, "..", "..");
