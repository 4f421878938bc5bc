/**
 * What `logs` answers: the right file, the right part of it, in the right form. A log that is set aside while it is read is read on
 * from where it was, in its archive or its trash; one that was deleted meanwhile ends the stream with an error, never silently.
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import type { AgentRecord } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import type { LogQuery } from "../../contract/operations/output.ts";
import { trash_dir } from "../../contract/paths.ts";
import { is_ended } from "../../contract/status.ts";
import { open_in_place } from "../../drivers/in-place.ts";
import { archived_path } from "../ending/archive.ts";
import { own_file } from "../own-file.ts";
import type { Services } from "../services.ts";
import { type FormatOptions, type Shown, show_line, written } from "./format.ts";
import { compile_filter, type Line, last_of, lines_of } from "./lines.ts";
import type { LogReader } from "./readers.ts";

/** Where a log is: a plain file, opened and held by a reader, or an archive, which is opened when it is read. */
type Source = { kind: "plain"; reader: LogReader } | { kind: "archive"; path: string };

/** One `logs` request: whose log, and until when. */
interface Asked {
  services: Services;
  agent: AgentRecord;
  role: string;
  signal: AbortSignal;
}

/** The log as a stream. Rejects before the first byte when there is no log, or the filter is wrong. */
export async function open_log_stream(
  services: Services,
  agent: AgentRecord,
  query: LogQuery,
  signal: AbortSignal,
): Promise<AsyncIterable<Buffer | string>> {
  const keep = query.filter ? compile_filter(query.filter) : null;
  const asked: Asked = { services, agent, role: log_role(query.stream), signal };
  const source = await open_source(asked);
  const by_line = keep !== null || query.format !== "text";
  const options: FormatOptions = { format: query.format, ended: () => will_grow_no_more(agent) };
  const formatted = (lines: AsyncIterable<Line>) => written(shown(lines, options));
  if (query.lines !== undefined && (keep || source.kind === "archive"))
    return formatted(last_lines(asked, source, keep, query.lines, query.follow));
  const position =
    query.lines === undefined || source.kind === "archive"
      ? 0
      : await source.reader.position_of_last_lines(query.lines);
  const chunks = bytes_of(asked, source, position, query.follow);
  return by_line ? formatted(select(lines_of(chunks), keep)) : chunks;
}

/** The last (matching) lines, then, with follow, those to come. A line that is half written by then belongs to those. */
async function* last_lines(
  asked: Asked,
  source: Source,
  keep: ((line: string) => boolean) | null,
  count: number,
  wanted: boolean,
): AsyncGenerator<Line> {
  const follow = wanted && source.kind === "plain";
  let seen = 0;
  const now = async function* () {
    for await (const line of lines_of(bytes_of(asked, source, 0, false))) {
      if (follow && !line.whole) return;
      seen += line.bytes + 1;
      yield line;
    }
  };
  yield* last_of(select(now(), keep), count);
  if (follow) yield* select(lines_of(bytes_of(asked, await open_source(asked), seen, true)), keep);
}

/** The log's bytes from `position` on, wherever it is by then. */
async function* bytes_of(asked: Asked, first: Source, position: number, follow: boolean): AsyncGenerator<Buffer> {
  let source = first;
  let at = position;
  for (;;) {
    if (source.kind === "archive") {
      yield* skipped(await gunzipped(source.path), at);
      return;
    }
    for await (const chunk of source.reader.chunks(at, follow && !will_grow_no_more(asked.agent))) {
      at += chunk.length;
      yield chunk;
    }
    if (source.reader.complete || asked.signal.aborted) return;
    source = await open_source(asked);
  }
}

async function* skipped(chunks: AsyncIterable<Buffer>, count: number): AsyncGenerator<Buffer> {
  let left = count;
  for await (const chunk of chunks) {
    if (left < chunk.length) yield left > 0 ? chunk.subarray(left) : chunk;
    left = Math.max(0, left - chunk.length);
  }
}

/** Finds the log and opens it, unless it is archived: nobody waits for an archive to be let go. */
async function open_source({ services, agent, role, signal }: Asked): Promise<Source> {
  let archive: string | null = null;
  const find = async () => {
    const found = await find_log(services, agent, role);
    archive = found.kind === "archive" ? found.path : null;
    return found.path;
  };
  const reader = await services.readers.open(agent.id, find, signal);
  if (archive === null) return { kind: "plain", reader };
  await reader.let_go();
  return { kind: "archive", path: archive };
}

export async function* select(lines: AsyncIterable<Line>, keep: ((line: string) => boolean) | null) {
  for await (const line of lines) if (!keep || keep(line.text)) yield line;
}

async function* shown(lines: AsyncIterable<Line>, options: FormatOptions): AsyncGenerator<Shown> {
  for await (const line of lines) {
    const one = show_line(line, options);
    if (one) yield one;
  }
}

/** The agent's host has closed its log, or nobody will write into it again. */
export const will_grow_no_more = (agent: AgentRecord) => is_ended(agent.status) || agent.ending?.closed != null;

export const log_role = (stream: LogQuery["stream"]) => (stream === "terminal" ? "terminal_log" : "log_file");

/** An archived file, unpacked. A reader that leaves closes the file. */
export async function gunzipped(path: string): Promise<AsyncIterable<Buffer>> {
  const file = await open_in_place(path, constants.O_RDONLY);
  // An error of either stream ends the other and reaches whoever reads.
  return pipeline(file.createReadStream(), createGunzip(), () => {});
}

/** Where the log is now: in its place, in the archive, or in trash. Rejects with `log_not_found`. */
export async function find_log(
  services: Services,
  agent: AgentRecord,
  role: string,
): Promise<{ kind: "log" | "archive" | "trash"; path: string }> {
  const path = own_file(services, agent, role);
  if (!path)
    throw new SupervisorError(
      "log_not_found",
      `${agent.id} has no ${role}${role === "terminal_log" ? " (only agents deployed with --stdout pipe have one)" : ""}`,
    );
  const { dir } = services.registry.task_of(agent);
  if (await exists(path)) return { kind: "log", path };
  const archived = archived_path(dir, path);
  if (await exists(archived)) return { kind: "archive", path: archived };
  const trashed = join(trash_dir(dir), basename(path));
  if (await exists(trashed)) return { kind: "trash", path: trashed };
  if (agent.receipt?.cleanup.files_archived.includes(archived))
    throw new SupervisorError(
      "log_not_found",
      `the log of ${agent.id} was archived at ${agent.receipt.ended_at}, and its archive is gone: archives are kept for a while only (docs/retention.md)`,
    );
  throw new SupervisorError(
    "log_not_found",
    `the log of ${agent.id} is gone: ${agent.receipt ? `its files were handled at ${agent.receipt.ended_at} ('supervisor status ${agent.id}' has the receipt)` : "it was not made"}`,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (is_errno(error, "ENOENT")) return false;
    throw error;
  }
}
