import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type FormatOptions, joined, show_line, written } from "../../../src/daemon/logs/format.ts";
import { lines_of } from "../../../src/daemon/logs/lines.ts";

const stream = (name: string) => readFileSync(new URL(`../../fixtures/streams/${name}`, import.meta.url), "utf8");

async function* bytes(text: string, piece = 7) {
  const all = Buffer.from(text);
  for (let at = 0; at < all.length; at += piece) yield all.subarray(at, at + piece);
}

async function shown(text: string, options: Partial<FormatOptions> = {}) {
  const pieces = [];
  for await (const line of lines_of(bytes(text))) {
    const one = show_line(line, { format: "parsed", ended: () => true, ...options });
    if (one) pieces.push(one);
  }
  let streamed = "";
  for await (const part of written(
    (async function* () {
      yield* pieces;
    })(),
  ))
    streamed += part;
  // A stream and a document say the same.
  expect(
    joined(pieces)
      .map((line) => `${line}\n`)
      .join(""),
  ).toBe(streamed);
  return streamed;
}

describe("parsed", () => {
  test.each(["claude", "codex", "gemini", "opencode"])(
    "shows a stream of %s as a person reads it, and leaves what it does not know as it is",
    async (name) => {
      expect(await shown(stream(`${name}.jsonl`))).toBe(stream(`${name}.txt`));
    },
  );

  test("reads lines that end in CR LF, as a terminal writes them", async () => {
    expect(await shown(stream("claude.jsonl").replaceAll("\n", "\r\n"))).toBe(stream("claude.txt"));
  });

  test("shows failures as errors: a result that is one, a turn that failed, a run that was cut short", async () => {
    expect(
      await shown(
        [
          '{"type":"result","subtype":"error_max_turns","is_error":false,"num_turns":9,"session_id":"s"}',
          '{"type":"turn.failed","error":{"message":"no quota"}}',
          '{"type":"error","message":"the stream broke"}',
          '{"type":"result","timestamp":"2026-03-01T10:00:00Z","status":"error","error":{"type":"x","message":"denied"}}',
          '{"type":"step_finish","sessionID":"s","part":{"reason":"length"}}',
          '{"type":"item.completed","item":{"type":"command_execution","command":"rm","aggregated_output":"","exit_code":null,"status":"declined"}}',
        ].join("\n"),
      ),
    ).toBe(
      "[ERROR] error_max_turns (9 turns)\n[ERROR] turn failed: no quota\n[ERROR] the stream broke\n[ERROR] denied\n[ERROR] length\n[ERROR] (declined)\n",
    );
  });

  test("holds half an event back while more may come, and shows it as partial when nothing will", async () => {
    const text = '{"type":"result","subtype":"success","result":"ok"}\n{"type":"assis';
    expect(await shown(text, { ended: () => false })).toBe("[RESULT] ok\n");
    expect(await shown(text)).toBe('[RESULT] ok\n[PARTIAL] {"type":"assis\n');
    expect(await shown(text, { format: "jsonl" })).toContain('{"type":"partial","text":"{\\"type\\":\\"assis"}\n');
    // A last event that only lacks its newline is whole, and a question on a terminal is no event.
    expect(await shown('{"type":"turn.failed","error":{"message":"x"}}', { ended: () => false })).toBe(
      "[ERROR] turn failed: x\n",
    );
    expect(await shown("Password: ", { ended: () => false })).toBe("Password: \n");
  });

  test("cuts an event that is too long to be read, and says how much there is", async () => {
    const line = `{"type":"user","message":{"content":"${"x".repeat(2 * 1024 * 1024)}"}}\n`;
    const text = await shown(line);
    expect(text).toMatch(/^\{"type":"user".*x \[\d+ bytes more\]\n$/);
    expect(text.length).toBeLessThan(2100);
  });
});

test("jsonl wraps what is not JSON and leaves the rest as it was written", async () => {
  expect(await shown('plain\r\n{"a": 1}\n[1, 2]\n', { format: "jsonl" })).toBe(
    '{"type":"text","text":"plain"}\n{"a": 1}\n[1, 2]\n',
  );
});

test("compact shortens long blocks in each format, and JSON stays JSON", async () => {
  const long = "a long line\n".repeat(100);
  const event = JSON.stringify({ type: "user", message: { content: [{ type: "tool_result", content: long }] } });
  expect(await shown(`${event}\n`, { compact: true })).toBe(
    `[RESULT] ${"a long line\n".repeat(5).trimEnd()}… [96 lines, 1141 characters more]\n`,
  );
  const json = JSON.parse(await shown(`${event}\n`, { compact: true, format: "jsonl" }));
  expect(json.message.content[0].content).toContain("characters more]");
  expect((await shown(`${"y".repeat(5000)}\n`, { compact: true, format: "text" })).length).toBeLessThan(500);
});
