import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe("a daemon without a free descriptor", () => {
  let supervisor: TestSupervisor;
  let pid: number;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    ({ pid } = await supervisor.boot());
  });
  afterEach(() => supervisor.dispose());

  const limit = (soft: number) => supervisor.shell(`prlimit --pid ${pid} --nofile=${soft}:`);
  /** The lowest descriptor that is free: with this as the limit, the daemon gets none. */
  const lowest_free = () => {
    const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
    let fd = 0;
    while (open.has(fd)) fd++;
    return fd;
  };

  test("goes on with its agents, fails a deploy in one line with nothing left, and recovers when there are some again", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
    const short = await supervisor.deploy({ command: ["sh", "-c", "read -r x </dev/tty; exit 5"] });
    await supervisor.printed(agent, "ready");
    // Room for the connection of a command, and for nothing that it needs.
    const free = lowest_free();
    await limit(free + 1);
    const deploy = await supervisor.cli(["deploy", "--", "true"]);
    expect(deploy).toMatchObject({ code: 1, stderr: expect.stringContaining("EMFILE") });
    expect(deploy.stderr.trim().split("\n"), deploy.stderr).toHaveLength(1);
    await limit(free);
    expect(await supervisor.cli(["ps"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: the supervisor went away before it answered .*\n$/),
    });
    await supervisor.client.call("send", { params: { agent: short.id }, body: { text: "" } }).catch(() => null);
    await limit(1024);
    await eventually("the daemon to answer", async () => (await supervisor.cli(["ps"])).code === 0);
    const ps = JSON.parse((await supervisor.cli(["ps", "--all", "--json"])).stdout);
    expect(ps.map((one: { id: string }) => one.id).sort()).toEqual([agent.id, short.id].sort());
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, cleanup: { bytes_logged: 6 + 20_480, handles: "clear" } });
  });
});
