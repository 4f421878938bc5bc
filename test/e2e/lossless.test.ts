import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Receipt } from "../../src/contract/receipt.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

/** What `prints-and-exits` prints. */
const numbered = (bytes: number) =>
  Buffer.from(
    Array.from({ length: bytes / 10 + 1 }, (_, i) => `${String(i).padStart(9, "0")}\n`)
      .join("")
      .slice(0, bytes),
  );
const archived = (receipt: Receipt) =>
  receipt.cleanup.files_archived.find((path) => path.endsWith("_stream.jsonl.gz")) as string;

describe("output", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("of 200 agents that print 20,480 bytes and exit at once is whole, ten at a time with both cores busy", async () => {
    const burners = [1, 2].map(() =>
      spawn(process.execPath, ["-e", "for(;;);"], { env: { TEST_MARK: supervisor.root } }),
    );
    const expected = numbered(20_480);
    try {
      const one = async () => {
        const agent = await supervisor.deploy({ command: [fixture("prints-and-exits"), "20480"] });
        const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
        expect(receipt).toMatchObject({
          status: "completed",
          exit: { code: 0 },
          // What was deferred says why.
          cleanup: { bytes_logged: 20_480, bytes_read: 20_480, files_deferred: [], handles: "clear" },
          notes: [],
        });
        expect(gunzipSync(readFileSync(archived(receipt))).equals(expected)).toBe(true);
      };
      let started = 0;
      const lane = async () => {
        while (started++ < 200) await one();
      };
      await Promise.all(Array.from({ length: 10 }, lane));
    } finally {
      for (const burner of burners) burner.kill("SIGKILL");
    }
  }, 400_000);

  test("printed in the agent's own TERM handler is in the log, 20 times of 20", async () => {
    const expected = `ready\n${Array.from({ length: 1024 }, (_, i) => `${String(i).padStart(19, "0")}\n`).join("")}`;
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 5 }, async () => {
          const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
          await supervisor.printed(agent, "ready");
          const receipt = await supervisor.client.call("kill", {
            params: { agent: agent.id },
            body: { cleanup: "archive" },
          });
          expect(gunzipSync(readFileSync(archived(receipt))).toString()).toBe(expected);
        }),
      );
    }
  });

  test("of 200 MB at once is identical, with a reader in the pane that is stopped (the tmux server under SIGSTOP), and the host still answers", async () => {
    const bytes = 200_000_000;
    const agent = await supervisor.deploy({
      // exec: a shell that outlives its cat by a moment prints "Terminated", which is output like any other.
      command: ["sh", "-c", `cat; seq -f '%099.0f' 0 1999999; exec cat /dev/tty`],
      mode: "headless",
      cleanup: "keep",
    });
    await eventually(
      "the flood to begin",
      async () => (await supervisor.client.call("get_agent", { params: { agent: agent.id } })).process,
    );
    const { stdout } = await supervisor.shell(
      `tmux -S ${(await supervisor.client.call("health")).tmux_socket} display-message -p '#{pid}'`,
    );
    const tmux_pid = Number(stdout);
    process.kill(tmux_pid, "SIGSTOP");
    try {
      const size = () =>
        supervisor.shell(`stat -c %s ${agent.tracked_files.log_file}`).then((ran) => Number(ran.stdout));
      // They are drawn from a terminal, which takes its time where others have the processors.
      await eventually("200 MB in the log", async () => (await size()) === bytes, 200_000);
      // The host answers while nobody draws its pane.
      expect(await supervisor.client.call("send", { params: { agent: agent.id }, body: { text: "hello" } })).toEqual({
        accepted: true,
      });
    } finally {
      process.kill(tmux_pid, "SIGCONT");
    }
    await eventually(
      "what was typed to come back",
      async () => (await supervisor.shell(`tail -c 6 ${agent.tracked_files.log_file}`)).stdout === "hello\n",
    );
    await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "keep" } });
    const { stdout: expected } = await supervisor.shell(
      "(seq -f '%099.0f' 0 1999999; echo hello) | sha256sum | cut -d' ' -f1",
    );
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(agent.tracked_files.log_file as string)) hash.update(chunk as Buffer);
    expect(hash.digest("hex")).toBe(expected.trim());
  }, 400_000);

  test("is byte for byte what a headless agent printed: no echo, no translation; its stdin is the prompt; it has a controlling terminal", async () => {
    const agent = await supervisor.deploy({ command: [fixture("reports")], prompt: "the prompt\n", cleanup: "keep" });
    await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(await supervisor.log_text(agent)).toMatch(
      new RegExp(`^agent ${agent.id}\ntty pts/\\d+\nthe prompt\non stderr\na\tb\r\n\xc3\xa4\n$`),
    );
  });

  test("with --stdout pipe, the log is stdout alone and the terminal's stream has a log of its own", async () => {
    const agent = await supervisor.deploy({
      command: [fixture("reports")],
      prompt: "the prompt\n",
      stdout: "pipe",
      cleanup: "keep",
    });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(await supervisor.log_text(agent)).toMatch(/^agent .*\ntty pts\/\d+\nthe prompt\na\tb\r\n\xc3\xa4\n$/);
    expect(readFileSync(agent.tracked_files.terminal_log as string, "utf8")).toBe("on stderr\n");
    expect(receipt.cleanup.files_kept).toHaveLength(4);
  });

  test("of an interactive agent comes from a normal terminal, and what is sent reaches it", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "read -r line; echo \"got $line\"; stty -a | grep -o ' echo '"],
      mode: "interactive",
      cleanup: "keep",
    });
    await supervisor.client.call("send", { params: { agent: agent.id }, body: { text: "hello" } });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt.status).toBe("completed");
    expect(await supervisor.log_text(agent)).toContain("got hello\r\n echo \r\n");
  });

  test("of a flood through a pipe that ends with the agent's exit is whole, and so is what it said on its terminal", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x; printf 'bye' >&2"],
      stdout: "pipe",
      cleanup: "keep",
    });
    const receipt = await supervisor.client.call("wait", { params: { agent: agent.id } });
    expect(receipt).toMatchObject({
      status: "completed",
      cleanup: { bytes_logged: 30_000_003, bytes_read: 30_000_003 },
      notes: [],
    });
    expect(
      (
        await supervisor.shell(
          `tr -d x < ${agent.tracked_files.log_file} | wc -c; stat -c %s ${agent.tracked_files.log_file}`,
        )
      ).stdout,
    ).toBe("0\n30000000\n");
    expect(readFileSync(agent.tracked_files.terminal_log as string, "utf8")).toBe("bye");
  });
});
