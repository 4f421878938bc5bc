import { mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agent_record } from "../../../src/contract/agent.ts";
import { log_query, output_query } from "../../../src/contract/operations/output.ts";
import { finding_report } from "../../../src/contract/operations/reports.ts";
import { trash_dir } from "../../../src/contract/paths.ts";
import { archived_path } from "../../../src/daemon/ending/archive.ts";
import { open_log_stream } from "../../../src/daemon/logs/log-stream.ts";
import { get_output } from "../../../src/daemon/logs/output.ts";
import { LogReaders } from "../../../src/daemon/logs/readers.ts";
import { reports_of } from "../../../src/daemon/report-files.ts";
import type { Services } from "../../../src/daemon/services.ts";

let dir: string;
let log_file: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), "sv-moved-")));
  log_file = join(dir, "logs", "agent-000000-abcdef_stream.jsonl");
  for (const one of [dirname(log_file), trash_dir(dir), dirname(archived_path(dir, log_file))])
    mkdirSync(one, { recursive: true });
  writeFileSync(log_file, "one\ntwo\n");
});
afterEach(() => rmSync(dir, { recursive: true }));

const to_trash = () => renameSync(log_file, join(trash_dir(dir), basename(log_file)));
const to_archive = () => {
  writeFileSync(archived_path(dir, log_file), gzipSync(readFileSync(log_file)));
  rmSync(log_file);
};
const signal = new AbortController().signal;
const agent = () =>
  agent_record.parse({ id: "agent-000000-abcdef", status: "running", cookie: "c", tracked_files: { log_file } });

/** Readers that let something happen to the file between the look and the opening, each time that they are asked. */
function services(...happens: (() => void)[]): Services {
  const readers = new LogReaders();
  const next = () => happens.shift()?.();
  return {
    readers: {
      open: (id: string, find: () => Promise<string>, until: AbortSignal) => {
        const moving = async () => {
          const path = await find();
          next();
          return path;
        };
        return readers.open(id, moving, until);
      },
      read: (id: string, path: string, at: number, until: AbortSignal) => {
        next();
        return readers.read(id, path, at, until);
      },
      read_backwards: (id: string, path: string, until: AbortSignal) => {
        next();
        return readers.read_backwards(id, path, until);
      },
    },
    registry: { task_of: () => ({ dir }) },
  } as unknown as Services;
}

const MOVES = [
  ["set aside", to_trash, "trash"],
  ["archived", to_archive, "archive"],
] as const;

describe("a log that is moved between the look and the opening", () => {
  test.each(MOVES)("(%s) is found in its new place: as a document", async (_what, move, source) => {
    const answer = await get_output(services(move), agent(), output_query.parse({}), signal);
    expect(answer).toMatchObject({ lines: ["one", "two"], metadata: { source } });
  });

  test.each(MOVES)("(%s) is found in its new place: as a stream", async (_what, move) => {
    const chunks: string[] = [];
    for await (const chunk of await open_log_stream(services(move), agent(), log_query.parse({}), signal))
      chunks.push(String(chunk));
    expect(chunks.join("")).toBe("one\ntwo\n");
  });

  test("and removed is said to be gone, with a code", async () => {
    const remove = () => rmSync(log_file);
    const gone = { code: "log_not_found", message: expect.stringContaining("is gone") };
    await expect(get_output(services(remove), agent(), output_query.parse({}), signal)).rejects.toMatchObject(gone);
    writeFileSync(log_file, "one\n");
    await expect(open_log_stream(services(remove), agent(), log_query.parse({}), signal)).rejects.toMatchObject(gone);
  });

  test("again and again is said to be moved, and not taken for a defect", async () => {
    const away = join(dir, "away");
    const readers = {
      read_backwards: (_id: string, path: string) => {
        renameSync(path, away);
        const reading = new LogReaders().read_backwards("a", path, signal);
        return (async function* () {
          try {
            yield* reading;
          } finally {
            renameSync(away, path);
          }
        })();
      },
    };
    const playing = { readers, registry: { task_of: () => ({ dir }) } } as unknown as Services;
    await expect(get_output(playing, agent(), output_query.parse({}), signal)).rejects.toMatchObject({
      code: "log_not_found",
      message: expect.stringMatching(/_stream\.jsonl was moved while it was read; ask again$/),
    });
  });
});

test("an archive that expires between the look and the opening is said to be gone", async () => {
  to_archive();
  const stream = await open_log_stream(services(), agent(), log_query.parse({}), signal);
  rmSync(archived_path(dir, log_file));
  const read = async () => {
    for await (const chunk of stream) expect(chunk).toBeUndefined();
  };
  await expect(read()).rejects.toMatchObject({ code: "log_not_found" });
});

test.each([to_trash, to_archive])("findings are read on where their file was moved to, each once", async (move) => {
  const finding = (message: string) =>
    `${JSON.stringify({ agent_id: "a", timestamp: "2026-11-24T03:02:15Z", finding_type: "issue", severity: "low", message, data: {} })}\n`;
  writeFileSync(log_file, finding("first") + finding("second"));
  const findings = { ...agent(), tracked_files: { findings_file: log_file } };
  const messages: string[] = [];
  for await (const one of reports_of(services(move), findings, "findings_file", finding_report))
    messages.push(one.message);
  expect(messages).toEqual(["first", "second"]);
});
