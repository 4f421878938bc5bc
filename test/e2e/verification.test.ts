/** How a daemon comes to its verdicts, and what follows from one that was wrong. */
import { existsSync } from "node:fs";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { MetricsAnswer } from "../../src/contract/metrics.ts";
import type { LookForHolders } from "../../src/drivers/look-thread.ts";
import { hold, holders_directory, let_go, NO_LEASE, remove_directory } from "../support/holders.ts";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

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
