import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { needs } from "../support/disks.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { failing_calls, limit_descriptors, limit_for, NO_STRACE } from "../support/scarce.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe("a daemon without a free descriptor", () => {
  let supervisor: TestSupervisor;
  let pid: number;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    ({ pid } = await supervisor.boot());
  });
  afterEach(() => supervisor.dispose());

  const limit = (soft: number) => limit_descriptors(pid, soft);
  const limit_to = (free: number) => limit(limit_for(pid, free));
  const one_line = (text: string) => expect(text.trim().split("\n"), text).toHaveLength(1);
  const files_of = (id: string) =>
    readdirSync(supervisor.workspace, { recursive: true, encoding: "utf8" }).filter((name) => name.includes(id));

  test("goes on with its agents, fails a deploy in one line with nothing left, and recovers when there are some again", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
    const short = await supervisor.deploy({ command: ["sh", "-c", "read -r x </dev/tty; exit 5"] });
    await supervisor.printed(agent, "ready");
    // Room for the connection of a command, and for nothing that it needs.
    limit_to(1);
    const deploy = await supervisor.cli(["deploy", "--", "true"]);
    expect(deploy).toMatchObject({ code: 1, stderr: expect.stringContaining("EMFILE") });
    one_line(deploy.stderr);
    // What the daemon had open for a moment as it was looked at gives room to one.
    const ps = await eventually("a command not to be let in", async () => {
      limit_to(0);
      const ran = await supervisor.cli(["ps"]);
      return ran.code !== 0 && ran;
    });
    expect(ps).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^supervisor: the supervisor went away before it answered .*\n$/),
    });
    await supervisor.client.call("send", { params: { agent: short.id }, body: { text: "" } }).catch(() => null);
    limit(1024);
    await eventually("the daemon to answer", async () => (await supervisor.cli(["ps"])).code === 0);
    const agents = JSON.parse((await supervisor.cli(["ps", "--all", "--json"])).stdout);
    expect(agents.map((one: { id: string }) => one.id).sort()).toEqual([agent.id, short.id].sort());
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, cleanup: { bytes_logged: 6 + 20_480, handles: "clear" } });
  });

  test.each([
    [0, 1, 2],
    [3, 4, 5],
    [6, 7, 8],
  ])(
    "with %i, %i and %i free ones: no agent loses a byte, deploys fail in one line, no verdict is 'clear' that nobody gave, and all is as it should be afterwards",
    async (...levels) => {
      const printer = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.01"] });
      const victims = await Promise.all(levels.map(() => supervisor.deploy({ command: [fixture("idles")] })));
      const known = new Set([printer, ...victims].map(({ id }) => id));
      for (const [index, free] of levels.entries()) {
        const victim = victims[index] as AgentRecord;
        const before = (await supervisor.log_text(printer)).length;
        limit_to(free);
        // Each by itself: a connection of one must not be what another is short of.
        const deployed = await supervisor.deploy({ command: [fixture("idles")] }).catch((error) => error as Error);
        const verified = await supervisor.client.call("verify", { body: { agent: printer.id } }).catch(() => null);
        const killed = await supervisor.client.call("kill", { params: { agent: victim.id } }).catch((error) => error);
        await eventually("the agent to print on", async () => (await supervisor.log_text(printer)).length > before);
        expect(supervisor.daemon_exited, supervisor.daemon_stderr.slice(-2000)).toBe(false);
        limit(1024);

        if (deployed instanceof Error) one_line(deployed.message);
        else {
          known.add(deployed.id);
          await supervisor.client.call("kill", { params: { agent: deployed.id } });
        }
        // The host holds the log: whoever could look, saw it.
        for (const file of verified?.files ?? [])
          if (file.role === "log_file") expect(file.verdict, JSON.stringify(file)).not.toBe("clear");
        if (killed instanceof Error) one_line(killed.message);
        else if (killed.cleanup.handles === "clear") expect(killed.cleanup.files_deferred).toEqual([]);
        // One that did not even reach the daemon is asked for again; any other is joined.
        const after = await supervisor.client.call("kill", { params: { agent: victim.id } });
        expect(after, JSON.stringify(after)).toMatchObject({
          status: "terminated",
          cleanup: { files_failed: [], survivors: [] },
        });
      }
      // What was unknown is asked again; what was not taken back is. One whose launch may have worked is ended like any other, with a receipt.
      const is_over = (one: AgentRecord) =>
        (known.has(one.id) || one.receipt?.cause === "deploy_failed") && one.cleanup_state !== "deferred";
      await eventually("everything to be removed, and the registry to say so", async () => {
        await supervisor.client.call("gc", { body: {} });
        const agents = await supervisor.client.call("list_agents", { query: { all: true } });
        return [...agents, ...supervisor.registry_on_disk()].every(is_over);
      });
      const { tmux_socket } = await supervisor.client.call("health");
      // A session that tmux was short of something for is ended a moment later.
      const sessions = () => supervisor.shell(`tmux -S ${tmux_socket} list-sessions -F '#{session_name}'`);
      await expect.poll(async () => (await sessions()).stdout.trim()).toBe(printer.tmux_session);
      for (const one of victims) expect(files_of(one.id).filter((name) => !name.includes("receipt"))).toEqual([]);
      const receipt = await supervisor.client.call("kill", {
        params: { agent: printer.id },
        body: { cleanup: "keep" },
      });
      expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear" } });
      const log = printer.tracked_files.log_file as string;
      expect(existsSync(log)).toBe(true);
      expect(gap_or_double(readFileSync(log, "utf8"))).toBe(null);
    },
  );

  test.skipIf(NO_STRACE).each([
    ["ENFILE", "too many files are open on this machine (ENFILE)"],
    ["ENOMEM", "no memory is left for it (ENOMEM)"],
  ])(
    needs(
      NO_STRACE,
      "on a machine that has none left for anybody (%s) refuses in one line, keeps its agents, and recovers",
    ),
    async (code, words) => {
      const printer = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.01"] });
      await supervisor.printed(printer, "3\n");
      const well = await failing_calls(pid, "openat", code);
      const before = (await supervisor.log_text(printer)).length;
      try {
        const refused = await supervisor.deploy({ command: [fixture("idles")] }).catch((error) => error as Error);
        expect(refused).toMatchObject({ code: "out_of_resources", message: expect.stringContaining(words) });
        one_line((refused as Error).message);
        const logs = await supervisor.client
          .call("get_output", { params: { agent: printer.id } })
          .catch((error) => error);
        expect(logs).toMatchObject({ code: "out_of_resources", message: expect.stringContaining(words) });
        const verified = await supervisor.client.call("verify", { body: { agent: printer.id } }).catch(() => null);
        for (const file of verified?.files ?? [])
          if (file.role === "log_file") expect(file.verdict, JSON.stringify(file)).not.toBe("clear");
        await eventually("the agent to print on", async () => (await supervisor.log_text(printer)).length > before);
      } finally {
        await well();
      }
      await eventually("nothing to be left of what was refused", async () => {
        const agents = await supervisor.client.call("list_agents", { query: { all: true } });
        return agents.length === 1;
      });
      const receipt = await supervisor.client.call("kill", {
        params: { agent: printer.id },
        body: { cleanup: "keep" },
      });
      expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear", survivors: [] } });
      expect(gap_or_double(readFileSync(printer.tracked_files.log_file as string, "utf8"))).toBe(null);
    },
  );
});
