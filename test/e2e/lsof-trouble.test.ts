/** lsof fails while the supervisor runs: no end is believed to be proven, nothing is removed, and the sweeper makes up for it. */
import { existsSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeLsof, fake_lsof } from "../support/fake-lsof.ts";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
let lsof: FakeLsof;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
  lsof = await fake_lsof(supervisor);
  await supervisor.boot();
});
afterEach(() => supervisor.dispose());

test.each([
  ["is removed", () => lsof.missing(), /lsof is not installed/],
  [
    "fails with half an answer",
    () => lsof.becomes('lsof_really "$@" | head -n 5; exit 1'),
    /not what lsof writes|did not see/,
  ],
  ["answers another question", () => lsof.becomes("lsof_really -w -n -P -F pcLfain -- /dev/null"), /did not see/],
])(
  "when lsof %s the verdict is unknown, with the reason; the files stay in trash until it is well again",
  async (_what, break_it, reason) => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await break_it();
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      success: true,
      status: "terminated",
      cleanup: { handles: "unknown", files_deleted: [], files_failed: [], survivors: [] },
    });
    const { files_deferred } = receipt.cleanup;
    expect(files_deferred.length).toBeGreaterThanOrEqual(3);
    for (const file of files_deferred) {
      expect(file).toMatchObject({ verdict: "unknown", reason: expect.stringMatching(reason) });
      expect(existsSync(file.trash_path)).toBe(true);
    }
    const swept = await supervisor.client.call("gc");
    expect(swept).toMatchObject({ removed: [] });
    expect(swept.deferred.length).toBe(files_deferred.length);
    const verify = await supervisor.cli(["verify", agent.id]);
    expect(verify).toMatchObject({ code: 1, stdout: expect.stringMatching(reason) });
    await lsof.well();
    expect((await supervisor.client.call("gc")).removed.sort()).toEqual(
      files_deferred.map((one) => one.trash_path).sort(),
    );
    for (const file of files_deferred) expect(existsSync(file.trash_path)).toBe(false);
    const amended = (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).receipt;
    expect(amended?.cleanup).toMatchObject({ handles: "clear", files_deferred: [] });
    expect(amended?.cleanup.files_deleted.length).toBe(files_deferred.length);
  },
);
