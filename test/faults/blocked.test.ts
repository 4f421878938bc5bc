/** A file system that blocks: a frozen ext4 (every write waits, as on a dead network mount) and a dead user-space one (every look waits). */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive, read_process } from "../../src/drivers/procfs.ts";
import { freezable_disk, mortal_disk, NO_FREEZE, NO_FUSE, needs, over } from "../support/disks.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

/** What an operation that must answer at once may take on a busy machine. In ms. */
const AT_ONCE_MS = 5_000;

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.start();
});
afterEach(() => supervisor.dispose());

async function at_once<T>(work: Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work;
  expect(performance.now() - began).toBeLessThan(AT_ONCE_MS);
  return result;
}

describe.skipIf(NO_FREEZE)(needs(NO_FREEZE, "a frozen file system"), () => {
  test("under one task holds up that task alone; everything else answers; after the thaw all goes on and nothing is lost", async () => {
    const task = await supervisor.client.call("create_task", { body: { description: "on another disk" } });
    const dir = join(supervisor.workspace, task.task_id);
    const disk = await freezable_disk(supervisor, join(supervisor.root, "mnt"));
    await cp(dir, disk.path, { recursive: true, preserveTimestamps: true });
    await over(supervisor, disk.path, dir);
    const there = await supervisor.deploy({
      task_id: task.task_id,
      command: ["sh", "-c", "cat; seq 1 100000000 & exec cat /dev/tty"],
      grace_ms: 500,
    });
    const here = await supervisor.deploy({ command: [fixture("idles")] });
    const get = (id: string) => supervisor.client.call("get_agent", { params: { agent: id } });
    await disk.freeze();
    expect(await eventually("the stall to be told", async () => (await get(there.id)).stalled)).toBe(
      `${there.tracked_files.log_file}: the file system has not answered for 2 s`,
    );
    // The host's own loop: what is typed is taken.
    expect(await at_once(supervisor.client.call("send", { params: { agent: there.id }, body: { text: "x" } }))).toEqual(
      { accepted: true },
    );
    await at_once(supervisor.client.call("health"));
    expect((await at_once(supervisor.cli(["ps"]))).stdout).toContain("running, stalled");
    // Operations on the frozen task are told so at a deadline, by path; more of them than there are threads.
    const refused = await Promise.all([
      ...Array.from({ length: 4 }, () =>
        supervisor.client
          .call("finding", {
            params: { agent: there.id },
            body: { finding_type: "note", severity: "low", message: "kept" },
          })
          .catch((error) => error),
      ),
      ...Array.from({ length: 3 }, () =>
        supervisor.deploy({ task_id: task.task_id, command: [fixture("idles")] }).catch((error) => error),
      ),
    ]);
    for (const error of refused)
      expect(error).toMatchObject({
        code: "timeout",
        message: expect.stringMatching(/TASK-.*the file system has not answered for 10 s/),
      });
    const kill = supervisor.client
      .call("kill", { params: { agent: there.id }, body: { cleanup: "archive" } })
      .catch((error) => error);
    // Others begin and end meanwhile, with their verdict.
    const another = await at_once(supervisor.deploy({ command: [fixture("idles")] }));
    for (const agent of [here, another])
      expect(await at_once(supervisor.client.call("kill", { params: { agent: agent.id } }))).toMatchObject({
        success: true,
        cleanup: { handles: "clear", survivors: [] },
      });
    await disk.thaw();
    await kill;
    const receipt = await eventually("the end after the thaw", () =>
      supervisor.client.call("kill", { params: { agent: there.id }, body: { cleanup: "archive" } }).catch((error) => {
        expect(error.code).toBe("timeout");
        return null;
      }),
    );
    expect(receipt).toMatchObject({ success: true, notes: [], cleanup: { survivors: [], handles: "clear" } });
    const archived = (name: string) =>
      gunzipSync(readFileSync(receipt.cleanup.files_archived.find((path) => path.includes(name)) as string));
    const log = archived("_stream");
    expect(log.length).toBe(receipt.cleanup.bytes_read);
    expect(createHash("sha256").update(log.toString().replace("x\n", "")).digest("hex")).toBe(numbers(log.length - 2));
    const messages = archived("_findings")
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).message);
    expect(messages).toEqual(["kept", "kept", "kept", "kept"]);
    // Of the refused deploys nothing is left.
    await eventually("the refused deploys' files to be gone", () =>
      readdirSync(dir, { recursive: true, encoding: "utf8" }).every(
        (name) => !/prompt|deploy_/.test(name) || name.includes("archive"),
      ),
    );
    expect((await supervisor.client.call("list_agents", { query: { all: true, task: task.task_id } })).length).toBe(1);
  });

  test("in which a process of an agent hangs leaves it named as a survivor; what it holds is removed when it is gone", async () => {
    const disk = await freezable_disk(supervisor, join(supervisor.root, "mnt"));
    const agent = await supervisor.deploy({
      command: [
        "sh",
        "-c",
        `cat; while [ ! -e go ]; do sleep 0.05; done; exec dd if=/dev/zero of=${disk.path}/x bs=1k`,
      ],
      grace_ms: 200,
    });
    await disk.freeze();
    writeFileSync(join(supervisor.root, "go"), "");
    await eventually("the agent to hang", () => read_process(agent.process?.pid as number)?.state === "D");
    const receipt = await supervisor.client.call("kill", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      success: false,
      status: "terminated",
      cleanup: { survivors: [{ pid: agent.process?.pid, command: "dd" }] },
    });
    expect((await supervisor.cli(["status", agent.id])).stdout).toContain("SURVIVORS: dd");
    await disk.thaw();
    await eventually("the survivor to be gone", () => !is_alive(agent.process as ProcessRef));
    expect((await supervisor.client.call("gc")).deferred).toEqual([]);
  });
});

/** The digest of so many bytes of `seq`. */
function numbers(bytes: number): string {
  const hash = createHash("sha256");
  for (let line = 1, left = bytes; left > 0; line++) {
    const text = `${line}\n`.slice(0, left);
    hash.update(text);
    left -= text.length;
  }
  return hash.digest("hex");
}

describe.skipIf(NO_FUSE)(needs(NO_FUSE, "a dead network mount"), () => {
  test("that somebody holds a file on does not keep an end from its verdict", async () => {
    const disk = await mortal_disk(supervisor, join(supervisor.root, "dead"));
    const held = openSync(disk.file, "r");
    const outsider = spawn("tail", ["-f", "/dev/null"], { stdio: [held, "ignore", "ignore"] });
    closeSync(held);
    try {
      const agent = await supervisor.deploy({ command: [fixture("idles")] });
      disk.die();
      const receipt = await at_once(supervisor.client.call("kill", { params: { agent: agent.id } }));
      expect(receipt).toMatchObject({ success: true, cleanup: { handles: "clear", files_deferred: [] } });
    } finally {
      disk.live();
      outsider.kill("SIGKILL");
    }
  });

  test("as an agent's directory: the deploy is refused by its path at a deadline, later ones at once, and others go on", async () => {
    const disk = await mortal_disk(supervisor, join(supervisor.root, "dead"));
    disk.die();
    try {
      const into = () => supervisor.deploy({ cwd: disk.path, command: ["/bin/true"] });
      await expect(Promise.all(Array.from({ length: 6 }, into))).rejects.toMatchObject({
        code: "timeout",
        message: expect.stringContaining(`${disk.path}: the file system has not answered for 10 s`),
      });
      await at_once(expect(into()).rejects.toMatchObject({ code: "timeout" }));
      await at_once(supervisor.client.call("health"));
    } finally {
      disk.live();
    }
    await eventually("a deploy into another directory", () =>
      supervisor.deploy({ command: ["/bin/true"] }).catch(() => null),
    );
  });

  test("does not hold up the end of a supervisor that has stopped", async () => {
    const disk = await mortal_disk(supervisor, join(supervisor.root, "dead"));
    disk.die();
    try {
      await expect(supervisor.deploy({ cwd: disk.path, command: ["/bin/true"] })).rejects.toMatchObject({
        code: "timeout",
      });
      // The call to that file system still waits, and Node's own exit would wait with it.
      expect(await at_once(supervisor.signal_daemon("SIGTERM"))).toBe(0);
    } finally {
      disk.live();
    }
  });
});
