import { expect, test } from "vitest";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

test("a daemon that is killed in the middle of deploys and kills leaves no agent half done: each runs on, or has its receipt", async () => {
  const supervisor = await TestSupervisor.start();
  for (let round = 0; round < 6; round++) {
    const told_to_end = await Promise.all([1, 2, 3].map(() => supervisor.deploy({ command: [fixture("idles")] })));
    // Whatever these answer, the daemon is killed under them.
    const in_flight = [
      ...[1, 2, 3].map(() => supervisor.deploy({ command: [fixture("idles")] })),
      ...told_to_end.map((agent) => supervisor.client.call("kill", { params: { agent: agent.id } })),
    ].map((work) => work.catch((error) => error));
    // Not a wait for anything: another moment in each round.
    await new Promise((resolve) => setTimeout(resolve, 20 + round * 25));
    await supervisor.signal_daemon("SIGKILL");
    await Promise.all(in_flight);
    await supervisor.boot();
    await eventually("every agent to run or to have ended", async () => {
      const agents = await supervisor.client.call("list_agents", { query: { all: true } });
      return agents.every((agent) => agent.status === "running" || agent.receipt);
    });
  }
  const { receipts } = await supervisor.client.call("kill_many", { body: { all: true } });
  for (const receipt of receipts)
    expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear", survivors: [] } });
  await supervisor.dispose();
}, 300_000);
