import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { needs } from "../support/disks.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { NO_PIDS_LIMIT, type ProcessLimit, process_limit } from "../support/scarce.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe.skipIf(NO_PIDS_LIMIT)(needs(NO_PIDS_LIMIT, "when no more processes may be started"), () => {
  let supervisor: TestSupervisor;
  let pid: number;
  let few: ProcessLimit;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    few = process_limit(supervisor, "pids");
    ({ pid } = await supervisor.boot());
  });
  afterEach(() => supervisor.dispose());

  const tmux_pid = async () => {
    const { tmux_socket } = await supervisor.client.call("health");
    return Number((await supervisor.shell(`tmux -S ${tmux_socket} display-message -p '#{pid}'`)).stdout);
  };
  const refused = async () => {
    const deploy = await supervisor.cli(["deploy", "--", "true"]);
    expect(deploy.stderr.trim().split("\n"), deploy.stderr).toHaveLength(1);
    expect(deploy.code, deploy.stderr).toBe(1);
    return deploy.stderr;
  };
  /** Agents of which there is a file or an entry. */
  const known = () => {
    const names = readdirSync(supervisor.workspace, { recursive: true, encoding: "utf8" });
    const of_files = names.flatMap((name) => /[a-z]+-\d{6}-[0-9a-f]{6}/.exec(name.split("/").pop() ?? "")?.[0] ?? []);
    return [...new Set([...of_files, ...supervisor.registry_on_disk().map(({ id }) => id)])].sort();
  };

  test("by the daemon: a deploy is refused with nothing left, an end has no verdict that nobody gave, and is complete when there are some again", async () => {
    const printer = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.01"] });
    const victim = await supervisor.deploy({ command: [fixture("idles")] });
    few.take(pid);
    few.limit(few.count());
    expect(await refused()).toContain("no more processes may be started (EAGAIN)");
    const { files } = await supervisor.client.call("verify", { body: { agent: printer.id } });
    expect(files.find((one) => one.role === "log_file")).toMatchObject({
      verdict: "unknown",
      reason: expect.stringContaining("EAGAIN"),
    });
    // tmux cannot be told to end the session, so that the end waits and says why.
    const killed = await supervisor.cli(["kill", victim.id]);
    expect(killed).toMatchObject({ code: 1, stderr: expect.stringContaining("EAGAIN") });
    expect(killed.stderr.trim().split("\n"), killed.stderr).toHaveLength(1);
    const seen = (await supervisor.log_text(printer)).length;
    await eventually("the other agent to print on", async () => (await supervisor.log_text(printer)).length > seen);
    few.limit(null);
    expect(await supervisor.client.call("kill", { params: { agent: victim.id } })).toMatchObject({
      success: true,
      session_killed: true,
      cleanup: { handles: "clear", survivors: [] },
    });
    await eventually("what was refused to be taken back", () => known().length <= 2);
    expect(gap_or_double(await supervisor.log_text(printer))).toBe(null);
  });

  test("by the tmux server, or by the host that it starts: a deploy is refused in one line with nothing left, however few there are", async () => {
    const printer = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.01"] });
    few.take(await tmux_pid());
    few.limit(few.count());
    expect(await refused()).toContain("no more processes may be started (EAGAIN)");
    // Too few for Node's own threads (about a dozen), just enough for them and not for the shell, enough. With 2 to 5 Node 20.20 hangs until its deadline.
    let worked = 0;
    for (const more of [1, 8, 11, 24]) {
      few.limit(few.count() + more);
      const deploy = await supervisor.cli(["deploy", "--", "sleep", "1000"]);
      if (deploy.code !== 0) {
        expect(deploy.stderr.trim().split("\n"), deploy.stderr).toHaveLength(1);
        continue;
      }
      worked++;
      expect((await supervisor.cli(["kill", deploy.stdout.trim()])).code).toBe(0);
    }
    few.limit(null);
    expect(worked, "with 24 it works").toBeGreaterThanOrEqual(1);
    // A host that died over its launch may have launched: such an agent is ended like any other, with a receipt. Of the rest nothing is left.
    const has_ended = () => supervisor.registry_on_disk().filter((one) => one.receipt);
    await eventually("what was refused to be taken back", () => known().length === 1 + has_ended().length);
    const ended = has_ended();
    expect(ended.filter((one) => one.status !== "terminated" && one.receipt?.cause !== "deploy_failed")).toEqual([]);
    expect(ended.filter((one) => one.receipt?.cleanup.survivors.length !== 0)).toEqual([]);
    expect(known()).toEqual([printer, ...ended].map(({ id }) => id).sort());
    expect((await supervisor.cli(["deploy", "--wait", "--", "true"])).code).toBe(0);
    expect(gap_or_double(await supervisor.log_text(printer))).toBe(null);
  });
});
