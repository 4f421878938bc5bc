/** How a daemon comes to its verdicts, and what follows from one that was wrong. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, cp, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { MetricsAnswer } from "../../src/contract/metrics.ts";
import type { LookForHolders } from "../../src/drivers/look-thread.ts";
import { needs } from "../support/disks.ts";
import { hold, holders_directory, let_go, NO_LEASE, remove_directory } from "../support/holders.ts";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { fixture, SUPERVISOR, TestSupervisor } from "../support/supervisor.ts";

const run = promisify(execFile);
let supervisor: TestSupervisor | undefined;
let own: InProcess | undefined;
afterEach(async () => {
  await own?.dispose();
  await supervisor?.dispose();
  own = supervisor = undefined;
});

const counted = ({ metrics }: MetricsAnswer, name: string) =>
  metrics
    .find((one) => one.name === name)
    ?.values.map(({ labels, value, count }) => ({ ...labels, n: count ?? value }));

test.each([
  ["auto", "candidates", NO_LEASE ?? "a lease tells whether anybody has a file; a look through /proc names"],
  ["proc", "candidates", "without leases, which takes longer: SUPERVISOR_VERIFICATION=proc asks for none"],
  [
    "lsof",
    "everything",
    "lsof over everything decides who holds a file, which takes longer: SUPERVISOR_VERIFICATION=lsof asks",
  ],
])(
  "with SUPERVISOR_VERIFICATION=%s an end's lsof is asked about %s, and doctor says so",
  async (setting, scope, text) => {
    supervisor = await TestSupervisor.start({ SUPERVISOR_VERIFICATION: setting });
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt.cleanup).toMatchObject({ handles: "clear", files_deferred: [] });
    await supervisor.client.call("gc");
    const metrics = await supervisor.client.call("get_metrics");
    expect(counted(metrics, "supervisor_lsof_duration_seconds")).toEqual([{ result: "answered", scope, n: 1 }]);
    expect(counted(metrics, "supervisor_look_duration_seconds")).toEqual(
      setting === "lsof" ? [] : [{ result: "answered", n: 1 }],
    );
    const result = setting === "auto" && NO_LEASE === null ? "granted" : "impossible";
    expect(counted(metrics, "supervisor_leases_total")).toEqual(
      setting === "lsof" ? [] : [{ result, n: receipt.cleanup.files_deleted.length }],
    );
    expect(counted(metrics, "supervisor_audits_total")).toEqual([{ result: "answered", n: 1 }]);
    expect(counted(metrics, "supervisor_audited_verdicts_total")).toEqual([
      { n: receipt.cleanup.files_deleted.length },
    ]);
    expect(counted(metrics, "supervisor_audit_disagreements_total")).toEqual([{ n: 0 }]);
    expect((await supervisor.cli(["doctor"])).stdout).toContain(text);
  },
);

test("a verdict that was wrong is found by the next sweep, counted and told; then lsof over everything decides", async () => {
  const blind: LookForHolders = async ([canary]) => ({
    ok: true,
    matches: [
      { pid: process.pid, inode: canary?.inode ?? 0n, device: null, path: "canary", mapped: false, in_thread: false },
    ],
    ask_about: [],
  });
  own = await start_in_process({}, undefined, {
    looker: { look: blind, again: async () => null, close: async () => {} },
  });
  const { client } = own;
  const dir = await holders_directory();
  onTestFinished(() => remove_directory(dir));
  const kill_while_held = async () => {
    const agent = await (own as InProcess).supervisor.deploy({ command: [fixture("idles")] });
    const log = agent.tracked_files.log_file as string;
    const holder = await hold(dir, "open", log);
    const receipt = await client.call("kill", { params: { agent: agent.id }, body: { cleanup: "delete" } });
    return { agent, log, holder, receipt };
  };
  const missed = await kill_while_held();
  expect(missed.receipt.cleanup).toMatchObject({ handles: "clear", files_deferred: [] });
  expect(existsSync(missed.log)).toBe(false);
  await client.call("gc");
  expect(counted(await client.call("get_metrics"), "supervisor_audit_disagreements_total")).toEqual([{ n: 1 }]);
  const alerts = own.daemon.services.events.recent().filter(({ type }) => type === "alert");
  expect(alerts).toMatchObject([
    {
      agent_id: missed.agent.id,
      alert: {
        state: "firing",
        cause: "verdict_disputed",
        message: expect.stringMatching(
          new RegExp(`was removed as free, but holder \\(pid ${missed.holder.pid}\\) has it`),
        ),
      },
    },
  ]);
  await let_go(missed.holder);
  const named = await kill_while_held();
  expect(named.receipt.cleanup).toMatchObject({
    handles: "held",
    files_deferred: [{ holders: [{ pid: named.holder.pid }] }],
  });
  await let_go(named.holder);
  await client.call("gc");
  // Each was told once.
  expect(counted(await client.call("get_metrics"), "supervisor_audit_disagreements_total")).toEqual([{ n: 1 }]);
});

test.skipIf(NO_LEASE)(
  needs(
    NO_LEASE,
    "what an end could not call free, 'verify' does not call free either: a descriptor on its way through a socket",
  ),
  async () => {
    const dir = await holders_directory();
    onTestFinished(() => remove_directory(dir));
    supervisor = await TestSupervisor.start();
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const holder = await hold(dir, "on-its-way", agent.tracked_files.log_file as string);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt.cleanup).toMatchObject({
      handles: "unknown",
      files_deferred: [{ path: agent.tracked_files.log_file }],
    });
    const said = async () => {
      const { success, files } = await (supervisor as TestSupervisor).client.call("verify", {
        body: { agent: agent.id },
      });
      return { success, log: files.find((file) => file.role === "log_file") };
    };
    expect(await said()).toMatchObject({
      success: false,
      log: { verdict: "unknown", reason: expect.stringContaining("the kernel refuses a lease on it") },
    });
    await let_go(holder);
    expect(await said()).toMatchObject({ success: true, log: { verdict: "clear" } });
    await supervisor.client.call("gc");
    // A file that was kept where it is may be opened by anybody, who must not meet a lease.
    const kept = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.client.call("kill", { params: { agent: kept.id }, body: { cleanup: "keep" } });
    const leases = async () =>
      counted(await (supervisor as TestSupervisor).client.call("get_metrics"), "supervisor_leases_total");
    const before = await leases();
    expect(await supervisor.client.call("verify", { body: { agent: kept.id } })).toMatchObject({ success: true });
    expect(await leases()).toEqual(before);
  },
);

test("a thread that waits in the kernel for ever keeps the daemon neither from an end nor from its own", async () => {
  supervisor = await TestSupervisor.prepare();
  const at = (name: string) => join((supervisor as TestSupervisor).root, name);
  // The daemon as it is built, but for the program of that thread.
  await cp(dirname(SUPERVISOR), at("program/dist"), { recursive: true });
  for (const name of ["node_modules", "package.json"])
    await symlink(join(dirname(SUPERVISOR), "..", name), at(`program/${name}`));
  await copyFile(
    fileURLToPath(new URL("../fixtures/tools/blocked-look-thread.cjs", import.meta.url)),
    at("program/dist/look-thread.cjs"),
  );
  await run("mkfifo", [at("program/dist/look-gate")]);
  await supervisor.boot([], at("program/dist/supervisor.js"));
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
  expect(receipt.cleanup).toMatchObject({ handles: "clear", files_deferred: [] });
  expect(await supervisor.signal_daemon("SIGTERM")).toBe(0);
});
