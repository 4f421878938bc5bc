/** The workspace's disk is full: the agent waits, the daemon answers and says so, and everything goes on when there is room. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import { type Disk, NO_MOUNT, needs, small_disk } from "../support/disks.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

const BYTES = 12_000_000;
/** What `prints-and-exits` prints: lines of nine digits. */
const expected = (bytes: number) => {
  const hash = createHash("sha256");
  for (let line = 0, left = bytes; left > 0; line++, left -= 10)
    hash.update(`${String(line).padStart(9, "0")}\n`.slice(0, left));
  return hash.digest("hex");
};
async function digest(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

describe.skipIf(NO_MOUNT)(needs(NO_MOUNT, "with a full disk"), () => {
  let supervisor: TestSupervisor;
  let disk: Disk;
  beforeEach(async () => {
    supervisor = await TestSupervisor.prepare();
    disk = await small_disk(supervisor, supervisor.workspace, "4m");
    await supervisor.boot();
  });
  afterEach(() => supervisor.dispose());

  const get = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
  const stalled = (agent: AgentRecord) =>
    eventually("the agent's output to be held up", async () => (await get(agent)).stalled);
  const fill = async () => {
    const path = join(supervisor.workspace, "ballast");
    await writeFile(path, Buffer.alloc(8 * 1024 * 1024)).catch((error) => expect(error.code).toBe("ENOSPC"));
    return path;
  };
  const events = async () =>
    (await supervisor.cli(["events"])).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; agent_id: string; message: string });

  test.each(["pty", "pipe"] as const)(
    "12 MB through 4 MB that are enlarged later are identical (--stdout %s); meanwhile the agent waits, and the daemon answers and says why",
    async (stdout) => {
      const agent = await supervisor.deploy({
        command: [fixture("prints-and-exits"), String(BYTES)],
        stdout,
        cleanup: "keep",
      });
      expect(await stalled(agent)).toBe(`${agent.tracked_files.log_file}: no space is left on the disk (ENOSPC)`);
      // The whole output is far from written: the agent is held, not buffered.
      expect(statSync(agent.tracked_files.log_file as string).size).toBeLessThan(4 * 1024 * 1024);
      expect((await get(agent)).status).toBe("running");
      const ps = await supervisor.cli(["ps"]);
      expect(ps).toMatchObject({ code: 0, stdout: expect.stringContaining("running, stalled") });
      expect(ps.stdout).toContain(
        `${agent.id} waits: ${agent.tracked_files.log_file}: no space is left on the disk (ENOSPC)`,
      );
      expect((await supervisor.cli(["status", agent.id])).stdout).toMatch(/stalled {4}.*no space is left/);
      expect((await supervisor.cli(["logs", agent.id, "-n", "1"])).code).toBe(0);
      await disk.remount("size=32m");
      const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
      expect(receipt).toMatchObject({ status: "completed", exit: { code: 0 }, notes: [], cleanup: { survivors: [] } });
      expect(await digest(agent.tracked_files.log_file as string)).toBe(expected(BYTES));
      expect((await get(agent)).stalled).toBeNull();
      const types = (await events()).filter((one) => one.agent_id === agent.id).map((one) => one.type);
      expect(types).toContain("agent_stalled");
      expect(types.lastIndexOf("agent_resumed")).toBeGreaterThan(types.lastIndexOf("agent_stalled"));
    },
  );

  test("a kill that is asked for meanwhile says why it waits, and completes when there is room, with every byte that was printed", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-and-exits"), String(BYTES)], grace_ms: 300 });
    await stalled(agent);
    const kill = await supervisor.cli(["kill", agent.id, "--cleanup", "archive"]);
    expect(kill.code).toBe(1);
    expect(kill.stderr).toMatch(
      /no space is left on the disk \(ENOSPC\); the end of \S+ is tried again by itself until it is complete\n$/,
    );
    await disk.remount("size=32m");
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, status: "terminated", notes: [], cleanup: { survivors: [] } });
    expect(receipt.cleanup.bytes_logged).toBe(receipt.cleanup.bytes_read);
    const log = receipt.cleanup.files_archived.find((path) => path.endsWith("_stream.jsonl.gz")) as string;
    const text = gunzipSync(readFileSync(log));
    expect(text.length).toBe(receipt.cleanup.bytes_logged);
    expect(createHash("sha256").update(text).digest("hex")).toBe(expected(text.length));
  });

  test("a deploy is refused and leaves nothing, agents run on, reports say that they were not taken, and later ones are whole", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    const report = (message: string) =>
      supervisor.client.call("finding", {
        params: { agent: agent.id },
        body: { finding_type: "note", severity: "low", message },
      });
    await report("before");
    const before = readdirSync(supervisor.workspace, { recursive: true }).sort();
    const ballast = await fill();
    await expect(supervisor.deploy({ command: [fixture("idles")] })).rejects.toMatchObject({
      code: expect.stringMatching(/^(workspace_unusable|registry_unwritable)$/),
      message: expect.stringContaining("no space is left on the disk (ENOSPC)"),
    });
    await expect(supervisor.client.call("create_task", { body: { description: "no room" } })).rejects.toMatchObject({
      code: "registry_unwritable",
      message: expect.stringContaining("no space is left"),
    });
    // Longer than what may be left of the last page.
    await expect(report("x".repeat(20_000))).rejects.toMatchObject({ code: "registry_unwritable" });
    expect(readdirSync(supervisor.workspace, { recursive: true }).sort()).toEqual([...before, "ballast"].sort());
    expect(await supervisor.client.call("list_agents", {})).toHaveLength(1);
    expect((await supervisor.cli(["ps"])).code).toBe(0);
    expect((await supervisor.cli(["events"])).code).toBe(0);
    await rm(ballast);
    await report("after");
    const lines = readFileSync(agent.tracked_files.findings_file as string, "utf8")
      .trimEnd()
      .split("\n");
    const whole = lines.flatMap((line) => {
      try {
        return [JSON.parse(line).message];
      } catch {
        return [];
      }
    });
    expect(whole).toEqual(["before", "after"]);
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear" } });
  });

  test("a log that cannot be archived is kept, with no half archive, and is archived when there is room", async () => {
    // 3 MB that gzip makes to 2.2, which is more than what is left of the disk.
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "base64 -w 0 /dev/urandom | head -c 2900000; exec tail -f /dev/null"],
    });
    await eventually("the output", async () => (await supervisor.log_text(agent)).length === 2_900_000);
    const content = await digest(agent.tracked_files.log_file as string);
    const receipt = await supervisor.client.call("kill", {
      params: { agent: agent.id },
      body: { cleanup: "archive", grace_ms: 500 },
    });
    const [deferred, ...others] = receipt.cleanup.files_deferred;
    expect(others).toEqual([]);
    expect(deferred).toMatchObject({
      path: agent.tracked_files.log_file,
      verdict: "clear",
      reason: expect.stringMatching(/could not be archived \(no space is left on the disk \(ENOSPC\)\) and is kept/),
    });
    expect(receipt.cleanup.files_failed).toEqual([]);
    expect(await digest(deferred?.trash_path as string)).toBe(content);
    const archive = join(deferred?.path as string, "../../archive");
    expect(readdirSync(archive).filter((name) => name.includes("_stream"))).toEqual([]);
    // Still no room: the sweep says so, and changes nothing.
    const still = await supervisor.client.call("gc", {});
    expect(still).toMatchObject({
      removed: [],
      deferred: [{ verdict: "clear", reason: expect.stringContaining("ENOSPC") }],
    });
    await disk.remount("size=16m");
    expect(await supervisor.client.call("gc", {})).toMatchObject({ removed: [deferred?.trash_path], deferred: [] });
    expect(existsSync(deferred?.trash_path as string)).toBe(false);
    const amended = (await get(agent)).receipt;
    expect(amended?.cleanup.files_deferred).toEqual([]);
    const archived = amended?.cleanup.files_archived.find((path) => path.includes("_stream")) as string;
    expect(
      createHash("sha256")
        .update(gunzipSync(readFileSync(archived)))
        .digest("hex"),
    ).toBe(content);
  });

  test("a workspace that turns read-only says so, and goes on when it can be written again", async () => {
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    // A file that is open for writing, as a running agent's log is, keeps its file system from being made read-only.
    await supervisor.client.call("kill", { params: { agent: agent.id } });
    await disk.remount("ro");
    await expect(supervisor.deploy({ command: [fixture("idles")] })).rejects.toMatchObject({
      code: expect.stringMatching(/^(workspace_unusable|registry_unwritable)$/),
      message: expect.stringContaining("the file system is read-only (EROFS)"),
    });
    expect((await supervisor.cli(["ps"])).code).toBe(0);
    await disk.remount("rw");
    const again = await supervisor.deploy({ command: [fixture("idles")] });
    expect((await get(again)).status).toBe("running");
  });

  test("an agent that ends while no daemon runs is no lost agent: its host waits for the room to say how it ended", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "cat; read line </dev/tty; exit 7"],
      cleanup: "keep",
    });
    const ballast = await fill();
    await supervisor.signal_daemon("SIGKILL");
    const host = agent.host as ProcessRef;
    process.kill((agent.process as ProcessRef).pid, "SIGTERM");
    await eventually("the agent to be gone", () => !is_alive(agent.process as ProcessRef));
    // Several tries of the record find no room; the host is still there.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(is_alive(host)).toBe(true);
    await rm(ballast);
    await eventually("the host to have left its record and gone", () => !is_alive(host));
    await supervisor.boot();
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({ success: true, exit: { signal: "SIGTERM" }, cause: "exited", status: "failed" });
  });
});
