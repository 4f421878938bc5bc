import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { OutputQuery } from "../../src/contract/operations/output.ts";
import { TestSupervisor } from "../support/supervisor.ts";

const fixture_path = (name: string) => fileURLToPath(new URL(`../fixtures/streams/${name}`, import.meta.url));
const lines_in = (name: string) => readFileSync(fixture_path(name), "utf8").trimEnd().split("\n");

describe("output as one document", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("is the same from a living agent's log and from its archive, in every format; half a last event waits for the end", async () => {
    const script = `cat '${fixture_path("gemini.jsonl")}'; printf '{"type":"mess'; exec sleep 1000`;
    const agent = await supervisor.deploy({ command: ["sh", "-c", script] });
    await supervisor.printed(agent, '{"type":"mess');
    const get = (query: Partial<OutputQuery> = {}) =>
      supervisor.client.call("get_output", { params: { agent: agent.id }, query });
    const queries: Partial<OutputQuery>[] = [
      {},
      { format: "jsonl", tail: 3 },
      { format: "parsed" },
      { format: "parsed", response_format: "recent", tail: 2 },
      { format: "parsed", response_format: "compact", filter: "tool_(use|result)" },
      { response_format: "summary" },
      { max_bytes: 300, format: "parsed" },
      { tail: 0 },
    ];
    const living = await Promise.all(queries.map(get));
    const [full, jsonl, parsed, recent, filtered, summary, limited, nothing] = living;
    expect(full).toMatchObject({
      success: true,
      agent_id: agent.id,
      status: "running",
      truncated: false,
      earlier: false,
      metadata: {
        source: "log",
        total_lines: 11,
        first_timestamp: "2026-03-01T10:00:00.000Z",
        last_timestamp: "2026-03-01T10:00:04.200Z",
      },
    });
    expect(full?.lines).toEqual([...lines_in("gemini.jsonl"), '{"type":"mess']);
    expect(jsonl).toMatchObject({ lines: lines_in("gemini.jsonl").slice(-3), earlier: true, truncated: false });
    expect(parsed?.lines.join("\n").split("\n")).toEqual(lines_in("gemini.txt"));
    expect(recent?.lines).toEqual(["[ASST] two: a.ts and b.ts.", "[RESULT] completed (4.2 s, 1200 tokens in, 50 out)"]);
    expect(filtered?.lines).toEqual([
      "[TOOL] list_directory .",
      "[RESULT] a.ts\nb.ts",
      '[TOOL] read_file {"absolute_path":"/srv/app/c.ts"}',
      "[ERROR] there is no c.ts",
    ]);
    expect(summary).toMatchObject({
      lines: [],
      summary: {
        complete: true,
        lines: 10,
        counts: { system: 2, user: 1, tool: 2, tool_result: 2, assistant: 1, result: 1 },
        tools: { list_directory: 1, read_file: 1 },
        errors: ["there is no c.ts"],
        last_assistant: "There are two: a.ts and b.ts.",
        last_result: "completed (4.2 s, 1200 tokens in, 50 out)",
        session: "8d6e0f7c-53b6-4f11-9a86-6f1b0a1d2c3e",
      },
    });
    expect(limited).toMatchObject({ truncated: true, earlier: true });
    expect(Buffer.byteLength(limited?.lines.join("\n") ?? "")).toBeLessThanOrEqual(300);
    expect(nothing).toMatchObject({ lines: [], earlier: true, truncated: false });

    await supervisor.client.call("kill", { params: { agent: agent.id }, body: { cleanup: "archive" } });
    const archived = await Promise.all(queries.map(get));
    for (const [index, before] of living.entries()) {
      const after = archived[index];
      const half =
        before.format === "text" ? [] : ['[PARTIAL] {"type":"mess', '{"type":"partial","text":"{\\"type\\":\\"mess"}'];
      expect(after?.metadata).toMatchObject({
        source: "archive",
        total_bytes: before.metadata.total_bytes,
        total_lines: 11,
      });
      if (queries[index]?.tail === undefined && !before.truncated)
        expect(after?.lines.filter((line) => !half.includes(line))).toEqual(before.lines);
    }
    expect(archived[2]?.lines.at(-1)).toBe('[PARTIAL] {"type":"mess');
    expect(archived[5]?.summary?.counts.partial).toBe(1);
    expect((await supervisor.cli(["logs", agent.id, "--format", "parsed"])).stdout).toBe(
      `${lines_in("gemini.txt").join("\n")}\n[PARTIAL] {"type":"mess\n`,
    );
  });

  test("is read from the end of a big log without reading the rest, and its newest line is given even if it alone is too long", async () => {
    const agent = await supervisor.deploy({
      command: [
        "sh",
        "-c",
        "head -c 60000000 /dev/zero | tr '\\0' 'a' | fold -w 999; echo; printf 'é%.0s' $(seq 100); echo; read x </dev/tty",
      ],
    });
    await supervisor.printed(agent, `${"\xc3\xa9".repeat(100)}\n`);
    const get = (query: Partial<OutputQuery>) =>
      supervisor.client.call("get_output", { params: { agent: agent.id }, query });
    const last = await get({ tail: 2 });
    expect(last).toMatchObject({ line_count: 2, earlier: true, truncated: false, metadata: { total_lines: null } });
    expect(last.lines[1]).toBe("é".repeat(100));
    expect(await get({ max_bytes: 21 })).toMatchObject({
      lines: [`${"é".repeat(10)} [180 bytes more]`],
      truncated: true,
    });
    expect(await get({ response_format: "summary" })).toMatchObject({
      summary: { complete: false, counts: { text: 33556 } },
    });
  });

  test("of a log of a terabyte is given at once: no more is read than is asked for", async () => {
    const agent = await supervisor.deploy({ command: ["true"], cleanup: "keep" });
    await supervisor.client.call("wait", { params: { agent: agent.id } });
    const log = await open(agent.tracked_files.log_file as string, "w");
    await log.write("\n".repeat(100), 0);
    // A hole: it takes no disk, but reading it would take minutes.
    await log.write("\none\ntwo\n", 1e12);
    await log.close();
    const get = (query: Partial<OutputQuery>) =>
      supervisor.client.call("get_output", { params: { agent: agent.id }, query });
    expect(await get({ tail: 2 })).toMatchObject({
      lines: ["one", "two"],
      earlier: true,
      metadata: { total_bytes: 1e12 + 9, total_lines: null },
    });
    expect(await get({ tail: 1, filter: "^o" })).toMatchObject({ lines: ["one"] });
    expect(await get({ response_format: "summary" })).toMatchObject({ summary: { complete: false } });
  });

  test("in an archive: the last lines have the log's own bytes, also where one has no newline or is no UTF-8", async () => {
    const agent = await supervisor.deploy({
      command: ["sh", "-c", "printf 'one\\ntw\\377o\\nthr'"],
      cleanup: "archive",
    });
    await supervisor.client.call("wait", { params: { agent: agent.id } });
    const last = async (lines: number) => {
      const chunks: Buffer[] = [];
      for await (const chunk of await supervisor.client.stream("logs", {
        params: { agent: agent.id },
        query: { lines },
      }))
        chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString("latin1");
    };
    expect(await Promise.all([0, 1, 2, 3, 9].map(last))).toEqual([
      "",
      "thr",
      "tw\xffo\nthr",
      "one\ntw\xffo\nthr",
      "one\ntw\xffo\nthr",
    ]);
  });

  test("on the command line: a summary, a compact view, one JSON document, and what does not go together", async () => {
    const agent = await supervisor.deploy({ command: ["cat", fixture_path("claude.jsonl")] });
    await supervisor.client.call("wait", { params: { agent: agent.id } });
    const logs = (...args: string[]) => supervisor.cli(["logs", agent.id, ...args]);
    const summary = (await logs("--response-format", "summary")).stdout;
    expect(summary).toContain("  tools      1 Bash, 1 Edit\n");
    expect(summary).toContain("  error      1 failed expected 3, got 4\n");
    expect((await logs("--response-format", "recent", "-n", "1", "--format", "parsed")).stdout).toMatch(
      /^\[RESULT\] Fixed/,
    );
    expect(JSON.parse((await logs("--response-format", "full", "--json")).stdout).line_count).toBe(12);
    const small = await logs("--max-bytes", "700");
    expect(small.stderr).toBe("supervisor: earlier output was left out; --max-bytes gives more\n");
    expect(await logs("-f", "--response-format", "recent")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--follow has no end/),
    });
    expect(await logs("--max-bytes", "0")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--max-bytes: must be at least 1/),
    });
    expect(await logs("--response-format", "full", "--filter", "(")).toMatchObject({ code: 2 });
  });
});
