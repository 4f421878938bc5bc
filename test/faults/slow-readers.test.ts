/** Clients that never read, and files of any size: the daemon's memory does not follow them. */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

/** What the daemon may grow by, whatever is thrown at it: heap that is not collected yet, buffers under way. In bytes. */
const SLACK_BYTES = 150 * 1024 * 1024;

let supervisor: TestSupervisor;
let pid: number;
beforeEach(async () => {
  supervisor = await TestSupervisor.prepare();
  ({ pid } = await supervisor.boot());
});
afterEach(() => supervisor.dispose());

const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;

/** Asks for a stream and never reads it. */
async function unread(path: string): Promise<() => void> {
  const asked = request({ socketPath: supervisor.socket, path });
  await new Promise((resolve, reject) => {
    asked.once("response", (response) => {
      response.pause();
      resolve(response);
    });
    asked.once("error", reject);
    asked.end();
  });
  asked.on("error", () => undefined /* the daemon cuts it off at the end */);
  return () => asked.destroy();
}

test("followers of a log and of the events that never read cost no memory, and do not hold the agent or its end up", async () => {
  const agent = await supervisor.deploy({
    command: ["sh", "-c", "cat; seq -f '%099.0f' 1 3000000; exec cat /dev/tty"],
    grace_ms: 500,
  });
  const before = resident();
  const leave = await Promise.all([
    ...Array.from({ length: 10 }, () => unread(`/v1/agents/${agent.id}/logs?follow=true`)),
    ...Array.from({ length: 10 }, () => unread("/v1/events?follow=true")),
  ]);
  const size = () => supervisor.shell(`stat -c %s ${agent.tracked_files.log_file}`).then((ran) => Number(ran.stdout));
  const report = (message: string) =>
    supervisor.client.call("finding", {
      params: { agent: agent.id },
      body: { finding_type: "note", severity: "low", message },
    });
  for (let round = 0; round < 60; round++)
    await Promise.all(Array.from({ length: 40 }, () => report("x".repeat(2_000))));
  await eventually("300 MB in the log", async () => (await size()) === 300_000_000, 120_000);
  expect(resident() - before).toBeLessThan(SLACK_BYTES);
  const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
  expect(receipt).toMatchObject({ success: true, cleanup: { bytes_logged: 300_000_000 } });
  for (const one of leave) one();
  // Whoever did not let go in time was named as a holder, and is gone now.
  await eventually(
    "nothing to wait for its removal",
    async () => (await supervisor.client.call("gc")).deferred.length === 0,
  );
});

test("a log of 10 GB and a report file of a million lines are never held", async () => {
  const agent = (await supervisor.deploy({ command: [fixture("idles")], cleanup: "keep" })) as AgentRecord;
  await supervisor.printed(agent, "ready");
  // Sparse: its bytes are NULs, one line of 10 GB, with another at its end.
  const log = agent.tracked_files.log_file as string;
  truncateSync(log, 10_000_000_000);
  writeFileSync(log, "\nlast\n", { flag: "a" });
  const line = `${JSON.stringify({ timestamp: new Date().toISOString(), agent_id: agent.id, finding_type: "note", severity: "low", message: "m" })}\n`;
  for (let block = 0; block < 100; block++)
    writeFileSync(agent.tracked_files.findings_file as string, line.repeat(10_000), { flag: "a" });
  const before = resident();
  const tail = await supervisor.cli(["logs", agent.id, "-n", "1"]);
  expect(tail).toMatchObject({ code: 0, stdout: "last\n" });
  expect((await supervisor.cli(["findings", agent.task_id as string, "--agent", agent.id, "--json"])).code).toBe(0);
  await supervisor.client.call("finding", {
    params: { agent: agent.id },
    body: { finding_type: "note", severity: "low", message: "one more" },
  });
  expect(resident() - before).toBeLessThan(SLACK_BYTES);
  const receipt = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "delete" } });
  expect(receipt).toMatchObject({ cleanup: { handles: "clear" } });
  expect(resident() - before).toBeLessThan(SLACK_BYTES);
});
