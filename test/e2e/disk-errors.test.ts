/** A disk that gives input/output errors, and a quota that is used up: nothing that was there is given up, and everything goes on when it is well again. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { type FaultyDisk, faulty_disk, NO_FUSE, needs } from "../support/disks.ts";
import { gap_or_double } from "../support/numbered-lines.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

describe.skipIf(NO_FUSE)(needs(NO_FUSE, "on a disk that fails"), () => {
  let supervisor: TestSupervisor;
  let disk: FaultyDisk;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    disk = await faulty_disk(supervisor, supervisor.workspace);
    await supervisor.boot();
  });
  afterEach(() => supervisor.dispose());

  const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
  const kill = (agent: AgentRecord, cleanup: "archive" | "delete" = "archive") =>
    supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup } });
  const sha = (data: Buffer) => createHash("sha256").update(data).digest("hex");
  const archive_of = (agent: AgentRecord) => join(agent.tracked_files.log_file as string, "../../archive");
  /** An agent that has printed `bytes` bytes and waits. */
  const printed = async (bytes: number) => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", `base64 -w 0 /dev/urandom | head -c ${bytes}; exec tail -f /dev/null`],
      grace_ms: 500,
    });
    await eventually("the output", async () => (await supervisor.log_text(agent)).length === bytes);
    return agent;
  };

  test.each([
    ["the quota is used up", "write EDQUOT", "the disk quota is used up (EDQUOT)"],
    ["writes fail", "write EIO", "the disk reports an input/output error (EIO)"],
  ])(
    "%s: agents wait and say why, what must be recorded is refused in one line and leaves nothing, and all goes on later, with every byte",
    async (_what, fault, reason) => {
      const agent = await supervisor.deploy({ command: [fixture("prints-numbers"), "0.005"] });
      await supervisor.printed(agent, "\n20\n");
      const before = readdirSync(supervisor.workspace, { recursive: true }).sort();
      await disk.fail(fault);
      expect(await eventually("the agent to wait", async () => (await get(agent)).stalled)).toBe(
        `${agent.tracked_files.log_file}: ${reason}`,
      );
      const ps = await supervisor.cli(["ps"]);
      expect(ps).toMatchObject({ code: 0, stdout: expect.stringContaining("running, stalled") });
      expect(ps.stdout).toContain(reason);
      const deploy = await supervisor.cli(["deploy", "--", "true"]);
      expect(deploy).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(reason) });
      expect(deploy.stderr.trim().split("\n")).toHaveLength(1);
      await expect(supervisor.client.call("create_task", { body: { description: "x" } })).rejects.toMatchObject({
        code: "registry_unwritable",
        message: expect.stringContaining(reason),
      });
      const ended = await supervisor.cli(["kill", agent.id, "--cleanup", "keep"]);
      expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining(reason) });
      expect(readdirSync(supervisor.workspace, { recursive: true }).sort()).toEqual(before);
      expect(await supervisor.client.call("list_agents", {})).toHaveLength(1);

      await disk.fail();
      const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
      expect(receipt).toMatchObject({
        success: true,
        status: "terminated",
        cleanup: { bytes_accounted: true, survivors: [], handles: "clear" },
      });
      const text = await supervisor.log_text(agent);
      expect(gap_or_double(text)).toBeNull();
      expect(receipt.cleanup.bytes_logged).toBe(text.length);
      const next = await supervisor.deploy({ command: ["true"] });
      expect(await supervisor.client.call("wait", { params: { agent: next.id } })).toMatchObject({
        status: "completed",
      });
    },
  );

  test.each([
    ["the original cannot be read", "read EIO _stream.jsonl"],
    ["the copy cannot be written", "write EIO _stream.jsonl.gz"],
    ["the copy cannot be synced", "sync EIO _stream.jsonl.gz"],
  ])(
    "an archive of which %s keeps its original, says so in the receipt and in 'gc', and is made when the disk is well again",
    async (_what, fault) => {
      const agent = await printed(300_000);
      const content = sha(readFileSync(agent.tracked_files.log_file as string));
      await disk.fail(fault);
      const receipt = await kill(agent);
      const [deferred, ...others] = receipt.cleanup.files_deferred;
      expect(others).toEqual([]);
      const reason =
        "it could not be archived (the disk reports an input/output error (EIO)) and is kept; this is tried again";
      expect(deferred).toMatchObject({ path: agent.tracked_files.log_file, verdict: "clear", holders: [], reason });
      expect(receipt.cleanup.files_archived.filter((path) => path.includes("_stream"))).toEqual([]);
      expect(readdirSync(archive_of(agent)).filter((name) => name.includes("_stream"))).toEqual([]);
      expect(existsSync(deferred?.trash_path as string)).toBe(true);
      expect(await supervisor.client.call("gc", {})).toMatchObject({ removed: [], deferred: [{ reason }] });
      expect((await supervisor.cli(["status", agent.id])).stdout).toContain("input/output error (EIO)");

      await disk.fail();
      expect(sha(readFileSync(deferred?.trash_path as string))).toBe(content);
      expect(await supervisor.client.call("gc", {})).toMatchObject({ removed: [deferred?.trash_path], deferred: [] });
      const amended = (await get(agent)).receipt;
      expect(amended).toMatchObject({ success: true, cleanup: { files_deferred: [] } });
      const archived = amended?.cleanup.files_archived.find((path) => path.includes("_stream")) as string;
      expect(sha(gunzipSync(readFileSync(archived)))).toBe(content);
      expect(existsSync(deferred?.trash_path as string)).toBe(false);
    },
  );

  test("a log that cannot be synced is not called written: its end waits, says why, and is complete when it can", async () => {
    const agent = await printed(20_000);
    await disk.fail("sync EIO _stream.jsonl");
    const ended = supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    const stalled = await eventually("the end to wait for the disk", async () => (await get(agent)).stalled);
    expect(stalled).toBe(`${agent.tracked_files.log_file}: the disk reports an input/output error (EIO)`);
    expect((await supervisor.cli(["status", agent.id])).stdout).toMatch(/stalled .*\(EIO\)\n.*ending +step stop/);
    await disk.fail();
    expect(await ended).toMatchObject({
      success: true,
      cleanup: { bytes_logged: 20_000, bytes_accounted: true },
    });
  });
});
