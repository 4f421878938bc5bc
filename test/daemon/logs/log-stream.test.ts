import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { agent_record } from "../../../src/contract/agent.ts";
import { open_log_stream } from "../../../src/daemon/logs/log-stream.ts";
import type { Services } from "../../../src/daemon/services.ts";

test("a reader is let go when the log is gone by the second look: an end would wait for it for ever", async () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "sv-stream-")));
  try {
    const log_file = join(dir, "a_stream.jsonl");
    writeFileSync(log_file, "x\n");
    const agent = agent_record.parse({
      id: "agent-000000-abcdef",
      status: "running",
      tracked_files: { log_file },
      log_limit: { max_bytes: 4096, full: "rotate" },
    });
    const let_go = vi.fn(async () => undefined);
    const open = async (_id: string, find: () => Promise<string>) => {
      await find();
      rmSync(log_file);
      return { let_go };
    };
    const services = { readers: { open }, registry: { task_of: () => ({ dir }) } } as unknown as Services;
    const query = { stream: "log", format: "text", follow: false } as const;
    await expect(open_log_stream(services, agent, query, new AbortController().signal)).rejects.toMatchObject({
      code: "log_not_found",
    });
    expect(let_go).toHaveBeenCalledTimes(1);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
