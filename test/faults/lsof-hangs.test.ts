import { expect, test } from "vitest";
import { fake_lsof } from "../support/fake-lsof.ts";
import { fixture, processes_marked, TestSupervisor } from "../support/supervisor.ts";

/** The daemon's deadline for one lsof. In ms. */
const DEADLINE_MS = 15_000;

test("an lsof that hangs costs every end two deadlines at most, however many end at once; nothing of it is left; the daemon answers", async () => {
  const supervisor = await TestSupervisor.prepare();
  const lsof = await fake_lsof(supervisor);
  await supervisor.boot();
  const agents = await Promise.all(Array.from({ length: 8 }, () => supervisor.deploy({ command: [fixture("idles")] })));
  // Holds its output open by a child as well, and obeys no TERM.
  await lsof.becomes("trap '' TERM HUP INT; sleep 2000 & sleep 2000; sleep 2000");
  const began = performance.now();
  const ends = agents.map((agent) => supervisor.client.call("kill", { params: { agent: agent.id } }));
  await supervisor.client.call("health");
  expect(performance.now() - began).toBeLessThan(5_000);
  for (const receipt of await Promise.all(ends)) {
    expect(receipt).toMatchObject({ success: true, cleanup: { handles: "unknown", files_deleted: [] } });
    for (const file of receipt.cleanup.files_deferred)
      expect(file.reason).toBe(`lsof did not answer in ${DEADLINE_MS} ms`);
  }
  expect(performance.now() - began).toBeLessThan(2 * DEADLINE_MS + 5_000);
  const left = () => processes_marked(supervisor.root).filter((one) => one.includes("sleep 2000"));
  await expect.poll(left, { timeout: 5_000 }).toEqual([]);
  await lsof.well();
  expect((await supervisor.client.call("gc")).deferred).toEqual([]);
  await supervisor.dispose();
});
