import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import { limit_descriptors, limit_for } from "../support/scarce.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

const BYTES = 300_000;
const PRINTED = Array.from({ length: BYTES / 10 }, (_, line) => `${String(line).padStart(9, "0")}\n`).join("");

describe("a host with few descriptors", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  const now = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
  const tmux_pid = async () => {
    const { tmux_socket } = await supervisor.client.call("health");
    return Number((await supervisor.shell(`tmux -S ${tmux_socket} display-message -p '#{pid}'`)).stdout);
  };

  test("from the beginning: either its deploy is refused in one line with nothing left, or the log is whole", async () => {
    const first = await supervisor.deploy({ command: [fixture("idles")] });
    const server = await tmux_pid();
    const outcomes = { refused: 0, whole: 0 };
    // A host inherits the limit of tmux, whose own descriptors are fewer. Node has about 20 for itself. Downwards: not every root may raise a hard limit.
    for (const limit of [48, 40, 36, 34, 30, 24, 19]) {
      for (const stdout of limit > 30 ? (["pty", "pipe"] as const) : (["pty"] as const)) {
        limit_descriptors(server, limit, limit);
        const agent = await supervisor
          .deploy({ command: [fixture("prints-and-exits"), String(BYTES)], stdout, cleanup: "keep" })
          .catch((error) => error as Error);
        if (agent instanceof Error) {
          outcomes.refused++;
          expect(agent.message.trim().split("\n"), agent.message).toHaveLength(1);
          // With fewer Node cannot load the host, and says so in its own words.
          if (limit >= 24) expect(agent.message).toContain("EMFILE");
          continue;
        }
        outcomes.whole++;
        const ended = await eventually("its end", async () => {
          const record = await now(agent);
          return record.receipt && record;
        });
        expect(ended, JSON.stringify(ended)).toMatchObject({ status: "completed", receipt: { success: true } });
        expect(readFileSync(agent.tracked_files.log_file as string, "latin1") === PRINTED, `${limit} ${stdout}`).toBe(
          true,
        );
      }
    }
    // Both happen, or nothing was tried.
    expect(outcomes.refused, JSON.stringify(outcomes)).toBeGreaterThan(0);
    expect(outcomes.whole, JSON.stringify(outcomes)).toBeGreaterThan(0);
    const left = supervisor.registry_on_disk().filter((one) => one.id !== first.id);
    expect(left.map((one) => one.status)).toEqual(left.map(() => "completed"));
    expect(left.length).toBe(outcomes.whole);
  });

  test.each([0, 1, 2])(
    "with %s free ones from now on it logs on, and its end, which waits for them if it must, is whole",
    async (free) => {
      const agent = await supervisor.deploy({
        command: [fixture("prints-on-term")],
        cleanup: "keep",
        stdout: free === 1 ? "pipe" : "pty",
      });
      await supervisor.printed(agent, "ready");
      const host = agent.host as ProcessRef;
      limit_descriptors(host.pid, limit_for(host.pid, free));
      const killing = supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
      if (free === 0) {
        await eventually("the end to be under way", async () => (await now(agent)).ending);
        expect(is_alive(host)).toBe(true);
        limit_descriptors(host.pid, 1024);
      }
      expect(await killing).toMatchObject({
        status: "terminated",
        success: true,
        cleanup: { bytes_logged: 6 + 20_480, survivors: [] },
      });
      expect(
        readdirSync(supervisor.workspace, { recursive: true, encoding: "utf8" }).filter((name) =>
          name.includes("/exits/"),
        ),
      ).toEqual([]);
    },
  );
});
