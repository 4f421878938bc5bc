import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { segment_number, segment_path } from "../../src/contract/segments.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.start();
});
afterEach(() => supervisor.dispose());

const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
const log_of = (agent: AgentRecord) => agent.tracked_files.log_file as string;
/** The log's files as they are on disk, oldest first. */
function parts_of(agent: AgentRecord, dir = dirname(log_of(agent))): string[] {
  const numbers = readdirSync(dir).map((name) => segment_number(log_of(agent), name));
  const full = numbers.filter((number) => number !== null).sort((a, b) => a - b);
  return [...full.map((number) => segment_path(log_of(agent), number)), log_of(agent)];
}
const joined = (paths: string[]) => Buffer.concat(paths.map((path) => readFileSync(path)));
const sha = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");
const seq = (last: number) => execFileSync("seq", [String(last)], { maxBuffer: 1e9 });
const logs = async (agent: AgentRecord, query: Record<string, string | number | boolean>) => {
  const chunks: Buffer[] = [];
  for await (const chunk of await supervisor.client.stream("logs", { params: { agent: agent.id }, query }))
    chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

describe("a log that is rotated", () => {
  test("loses nothing: 14 MB through a limit of 1 MB are whole in files that end with whole lines, in 'logs', in a follower, and in the archive", async () => {
    const go = join(supervisor.root, "go");
    const agent = await supervisor.deploy({
      command: ["sh", "-c", `while [ ! -e '${go}' ]; do sleep 0.02; done; seq 2000000; read -r _ </dev/tty`],
      log_max_bytes: 1_000_000,
    });
    const following = logs(agent, { follow: true });
    writeFileSync(go, "");
    const whole = seq(2_000_000);
    await eventually("all to be printed", () => joined(parts_of(agent)).length === whole.length);
    const parts = parts_of(agent);
    expect(parts.length).toBeGreaterThanOrEqual(14);
    for (const path of parts) {
      expect(statSync(path).size).toBeLessThanOrEqual(1_000_000);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readFileSync(path).at(-1)).toBe(0x0a);
    }
    expect(sha(joined(parts))).toBe(sha(whole));
    expect(sha(await logs(agent, {}))).toBe(sha(whole));
    // From the end, across files.
    expect((await logs(agent, { lines: 100_000 })).toString().split("\n")[0]).toBe("1900001");
    expect((await logs(agent, { lines: 2, filter: "^15.*77$" })).toString()).toBe("1599877\n1599977\n");
    const output = await supervisor.client.call("get_output", {
      params: { agent: agent.id },
      query: { tail: 100_000, max_bytes: 10_000_000 },
    });
    expect([output.lines[0], output.lines.at(-1), output.metadata.total_bytes]).toEqual([
      "1900001",
      "2000000",
      whole.length,
    ]);

    await supervisor.client.call("send", { params: { agent: agent.id }, body: { text: "done" } });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      success: true,
      cleanup: { bytes_logged: whole.length, bytes_read: whole.length, bytes_accounted: true },
    });
    expect(receipt.cleanup.files_archived.filter((path) => path.includes("_stream"))).toHaveLength(parts.length);
    const followed = await following;
    const differs = followed.findIndex((byte, index) => byte !== whole[index]);
    expect([followed.length, differs], "what was followed: its length, where it first differs").toEqual([
      whole.length,
      -1,
    ]);
    expect(sha(await logs(agent, {}))).toBe(sha(whole));
    expect(existsSync(log_of(agent))).toBe(false);
    const archive = join(dirname(dirname(log_of(agent))), "archive");
    const archived = parts.map((path) => gunzipSync(readFileSync(join(archive, `${path.split("/").at(-1)}.gz`))));
    expect(sha(Buffer.concat(archived))).toBe(sha(whole));
  }, 120_000);

  test("is whole when the supervisor is killed while it rotates, and every file is removed by the next one's kill", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.001"], log_max_bytes: 4096 });
    const rotated = (count: number) => eventually(`${count} rotations`, () => parts_of(agent).length > count);
    await rotated(1);
    await supervisor.signal_daemon("SIGKILL");
    await rotated(parts_of(agent).length + 1);
    await supervisor.boot();
    const many = parts_of(agent).length + 1;
    await rotated(many);
    expect(gap_or_double((await logs(agent, {})).toString())).toBeNull();
    const { cleanup } = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(cleanup).toMatchObject({ handles: "clear", bytes_accounted: true, files_failed: [], files_deferred: [] });
    expect(cleanup.files_deleted.filter((path) => path.includes("_stream")).length).toBeGreaterThan(many);
    expect(readdirSync(dirname(log_of(agent)))).toEqual([]);
    expect(supervisor.daemon_stderr).not.toContain("somebody cut or removed them");
  });

  test("is whole when its host is killed: the account counts every file, and every file is archived", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.001"], log_max_bytes: 4096 });
    await eventually("three files", () => parts_of(agent).length >= 3);
    process.kill((await get(agent)).host?.pid as number, "SIGKILL");
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    const text = (await logs(agent, {})).toString();
    expect(gap_or_double(text)).toBeNull();
    expect(receipt).toMatchObject({ status: "lost", cleanup: { bytes_logged: text.length, files_deferred: [] } });
    expect(readdirSync(dirname(log_of(agent)))).toEqual([]);
  });

  test("passes by what somebody put where its next file would be, and leaves it alone at the end", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.001"], log_max_bytes: 4096 });
    const [directory, file] = [segment_path(log_of(agent), 3), segment_path(log_of(agent), 4)];
    mkdirSync(directory);
    writeFileSync(file, "a person's own");
    await eventually("a file after the planted ones", () => existsSync(segment_path(log_of(agent), 6)));
    const text = (await logs(agent, {})).toString();
    expect([gap_or_double(text), text.includes("person")]).toEqual([null, false]);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, cleanup: { files_failed: [], bytes_accounted: true } });
    expect(readdirSync(dirname(log_of(agent))).sort()).toEqual([directory, file].map((path) => basename(path)).sort());
    expect(readFileSync(file, "utf8")).toBe("a person's own");
  });

  test("of an agent without a limit is one file: what looks like a part of it is somebody else's", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "ready");
    const copy = segment_path(log_of(agent), 1);
    writeFileSync(copy, "a copy");
    const { cleanup } = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(cleanup.files_deleted).not.toContain(copy);
    expect(readFileSync(copy, "utf8")).toBe("a copy");
  });

  test("is followed also when the limit is set after the following began", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.001"] });
    const following = logs(agent, { follow: true });
    await supervisor.printed(agent, "\n100\n");
    expect((await supervisor.cli(["set", agent.id, "--log-max", "4096"])).code).toBe(0);
    await eventually("three files", () => parts_of(agent).length >= 3);
    await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "archive" } });
    const text = (await following).toString();
    expect(gap_or_double(text)).toBeNull();
    expect(text).toBe((await logs(agent, {})).toString());
  });

  test("is searched for its result event across files", async () => {
    const event = '{"type":"result","subtype":"error_during_execution","is_error":true}';
    const agent = await supervisor.deploy({
      command: ["sh", "-c", `seq 1000; echo '${event}'; printf '%4000s\\n' x`],
      log_max_bytes: 4096,
    });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt.outcome?.result_event).toMatchObject({ status: "failed" });
  });
});

describe("a log that is full", () => {
  test("makes the agent wait when that is asked for, says so, and goes on when the limit is raised; an end is not held up", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "trap 'echo bye; exit 3' TERM; seq 100000; while :; do sleep 0.05; done"],
      log_max_bytes: 50_000,
      log_full: "pause",
    });
    const stalled = () => eventually("the agent to wait", async () => (await get(agent)).stalled);
    expect(await stalled()).toContain("supervisor set");
    expect(statSync(log_of(agent)).size).toBe(50_000);
    expect((await supervisor.cli(["set", agent.id, "--log-max", "200000"])).code).toBe(0);
    await eventually("the log to grow", () => statSync(log_of(agent)).size === 200_000);
    await stalled();
    for (const [bad, why] of [
      ["10", /4096 bytes or more/],
      ["lots", /must be a size/],
    ] as const)
      expect(await supervisor.cli(["set", agent.id, "--log-max", bad])).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(why),
      });
    const { exit } = await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    expect(exit.code).toBe(3);
    // After the limit comes what was held up by it, as far as the signal let seq print it, and what the handler said.
    const text = readFileSync(log_of(agent), "utf8");
    expect(text.slice(0, 200_000)).toBe(seq(100_000).toString().slice(0, 200_000));
    expect(text.endsWith("bye\n")).toBe(true);
  });

  test("goes on for good when the limit is taken away", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "seq 300000"],
      log_max_bytes: 5_001,
      log_full: "pause",
    });
    await eventually("the agent to wait", async () => (await get(agent)).stalled);
    expect(statSync(log_of(agent)).size).toBe(5_001);
    expect(await supervisor.cli(["set", agent.id, "--log-max", "none"])).toEqual({ code: 0, stdout: "", stderr: "" });
    const { success, cleanup } = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect({ success, bytes: cleanup.bytes_logged }).toEqual({ success: true, bytes: seq(300_000).length });
  });

  test.each([8_192, null])(
    "is on record as the host has it (%s) after a supervisor that died before it had recorded it",
    async (max_bytes) => {
      await supervisor.signal_daemon("SIGTERM");
      supervisor.env.SUPERVISOR_CRASH_AT = `limit.host_told:${supervisor.root}/mark`;
      await supervisor.boot();
      delete supervisor.env.SUPERVISOR_CRASH_AT;
      const agent = await supervisor.deploy({
        command: [fixture("idles")],
        log_max_bytes: 1_000_000,
        log_full: "pause",
      });
      const set = supervisor.client.call("set_log_limit", {
        params: { agent: agent.id },
        body: { log_max_bytes: max_bytes },
      });
      await expect(set).rejects.toMatchObject({ code: "daemon_gone" });
      supervisor.forget_daemon();
      await supervisor.boot();
      const adopted = await eventually("the agent to be adopted", async () => {
        const one = await get(agent);
        return one.host_state === "connected" ? one : null;
      });
      expect(adopted.log_limit).toEqual({ max_bytes, full: "pause" });
      const [on_disk] = JSON.parse(
        readFileSync(join(dirname(dirname(log_of(agent))), "AGENT_REGISTRY.json"), "utf8"),
      ).agents;
      expect(on_disk.log_limit).toEqual({ max_bytes, full: "pause" });
    },
  );

  test("is not limited again while the agent is being ended", async () => {
    const go = join(supervisor.root, "go");
    const asked = `echo asked; while [ ! -e ${go} ]; do sleep 0.02; done; seq 100000; exit 0`;
    const script = `trap "" HUP; trap "${asked}" TERM; echo ready; while :; do sleep 0.05; done`;
    const agent = await supervisor.deploy({
      command: ["sh", "-c", `sh -c '${script}' & read -r _ </dev/tty`],
      log_max_bytes: 50_000,
      log_full: "pause",
      grace_ms: 60_000,
    });
    await supervisor.printed(agent, "ready");
    await supervisor.client.call("send", { params: { agent: agent.id }, body: { text: "go" } });
    await supervisor.printed(agent, "asked");
    expect((await supervisor.cli(["set", agent.id, "--log-max", "4096"])).code).toBe(1);
    writeFileSync(go, "");
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt.cleanup.bytes_logged).toBeGreaterThan(500_000);
  });

  test("is refused when its limit makes no sense", async () => {
    const deployed = await supervisor.cli(["deploy", "--log-max", "12", "--", "true"]);
    expect([deployed.code, deployed.stderr]).toEqual([2, expect.stringMatching(/--log-max.*4096/)]);
    expect(await supervisor.client.call("list_agents", { query: { all: true } })).toEqual([]);
  });
});
