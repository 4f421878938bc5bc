/**
 * What `logs` answers: the right file, the right part of it, in the right form. A log that is set aside while it is read is read on
 * from where it was, in its archive or its trash; one that was deleted meanwhile ends the stream with an error, never silently. A log that
 * was rotated is read part by part; a follower goes on in the new file.
 */
import { constants } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import type { AgentRecord } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import type { LogQuery } from "../../contract/operations/output.ts";
import { is_ended } from "../../contract/status.ts";
import { open_in_place } from "../../drivers/in-place.ts";
import type { Services } from "../services.ts";
import { type FormatOptions, type Shown, show_line, written } from "./format.ts";
import { position_of_last } from "./last-lines.ts";
import { compile_filter, type Line, last_of, lines_of } from "./lines.ts";
import { list_parts, may_rotate, type Part } from "./log-parts.ts";
import type { LogReader } from "./log-reader.ts";
import { LOOKS, Moved } from "./moved.ts";

/** A part that is read: a plain file, opened and held by a reader, or an archive, which is opened when it is read. */
type Source = { part: Part } & ({ kind: "plain"; reader: LogReader } | { kind: "archive" });

/** One `logs` request: whose log, and until when. */
interface Asked {
  services: Services;
  agent: AgentRecord;
  role: string;
  signal: AbortSignal;
}

/** Where a stream has come to: the part, and the bytes of it that were read. */
interface Place {
  number: number;
  at: number;
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
  const parts = await list_parts(services, agent, asked.role);
  const archived = parts.some((part) => part.kind === "archive");
  const by_line = keep !== null || query.format !== "text";
  const options: FormatOptions = { format: query.format, ended: () => will_grow_no_more(agent) };
  const formatted = (lines: AsyncIterable<Line>) => written(shown(lines, options));
  const oldest = (parts[0] as Part).number;
  if (query.lines !== undefined && keep)
    return formatted(last_lines(asked, await open_part(asked, oldest), keep, query.lines, query.follow && !archived));
  const from_beginning = async () => ({ source: await open_part(asked, oldest), at: 0 });
  const begin = query.lines === undefined ? await from_beginning() : await last_part(asked, parts, query.lines);
  // Where the last lines begin in an archive is not known without reading it.
  const chunks = begin
    ? bytes_of(asked, begin.source, { number: begin.source.part.number, at: begin.at }, query.follow)
    : last_bytes(asked, await open_part(asked, oldest), query.lines as number);
  return by_line ? formatted(select(lines_of(chunks), keep)) : chunks;
}

/** The last (matching) lines, then, with follow, those to come. A line that is half written by then belongs to those. */
async function* last_lines(
  asked: Asked,
  source: Source,
  keep: ((line: string) => boolean) | null,
  count: number,
  follow: boolean,
): AsyncGenerator<Line> {
  const place: Place = { number: source.part.number, at: 0 };
  let open_bytes = 0;
  const now = async function* () {
    for await (const line of lines_of(bytes_of(asked, source, place, false))) {
      if (follow && !line.whole) {
        open_bytes = line.bytes;
        return;
      }
      yield line;
    }
  };
  yield* last_of(select(now(), keep), count);
  if (!follow) return;
  place.at = Math.max(0, place.at - open_bytes);
  yield* select(lines_of(bytes_of(asked, await open_part(asked, place.number), place, true)), keep);
}

/** The bytes of the last `count` lines of a log with archived parts, as they are: it is read twice, and neither time kept. */
async function* last_bytes(asked: Asked, first: Source, count: number): AsyncGenerator<Buffer> {
  const oldest = first.part.number;
  const all = (source: Source) => bytes_of(asked, source, { number: oldest, at: 0 }, false);
  const begin = await position_of_last(all(first), count);
  yield* skipped(all(await open_part(asked, oldest)), begin);
}

/** The part in which the last `count` lines begin, and where; null when it cannot be told from the end, because one of them is archived. */
async function last_part(asked: Asked, parts: Part[], count: number): Promise<{ source: Source; at: number } | null> {
  let left = count;
  for (let index = parts.length - 1; ; index--) {
    const source = await open_part(asked, (parts[index] as Part).number);
    if (source.kind === "archive") return null;
    const { position, lines } = await source.reader.position_of_last_lines(left);
    if (lines >= left || index === 0) return { source, at: position };
    left -= lines;
    await source.reader.let_go();
  }
}

/** The log's bytes from `place` on, wherever it is by then. `place` moves along. */
async function* bytes_of(asked: Asked, first: Source, place: Place, follow: boolean): AsyncGenerator<Buffer> {
  let misses = 0;
  for (let source = first; ; source = await open_part(asked, place.number)) {
    if (source.kind === "archive") {
      const { path } = source.part;
      const archive = await gunzipped(path).catch((error) => {
        if (!is_errno(error, "ENOENT")) throw error;
        if (++misses === LOOKS) throw new Moved(path, { cause: error });
        return null;
      });
      // Removed since it was found: whether the part is somewhere else, or gone, is looked at anew.
      if (!archive) continue;
      for await (const chunk of skipped(archive, place.at)) {
        place.at += chunk.length;
        yield chunk;
      }
    } else {
      const grows = follow && source.part.newest && !will_grow_no_more(asked.agent);
      for await (const chunk of source.reader.chunks(place.at, grows)) {
        place.at += chunk.length;
        yield chunk;
      }
      if (asked.signal.aborted) return;
      if (!source.reader.complete) continue;
    }
    if (source.part.newest && !(source.kind === "plain" && source.reader.replaced)) return;
    place.number = await number_after(asked, place.number);
    place.at = 0;
  }
}

/** Parts have no number that somebody else's file had taken. */
async function number_after({ services, agent, role }: Asked, number: number): Promise<number> {
  const next = (await list_parts(services, agent, role)).find((part) => part.number > number);
  if (!next) throw removed(agent);
  return next.number;
}

const removed = (agent: AgentRecord) =>
  new SupervisorError("log_not_found", `a part of the log of ${agent.id} was removed while it was read`);

export async function* skipped(chunks: AsyncIterable<Buffer>, count: number): AsyncGenerator<Buffer> {
  let left = count;
  for await (const chunk of chunks) {
    if (left < chunk.length) yield left > 0 ? chunk.subarray(left) : chunk;
    left = Math.max(0, left - chunk.length);
  }
}

/** Finds a part and opens it, unless it is archived: nobody waits for an archive to be let go. Rejects with `log_not_found`. */
async function open_part(asked: Asked, number: number): Promise<Source> {
  const { services, agent, role, signal } = asked;
  for (;;) {
    const found: { part?: Part } = {};
    const find = async () => {
      found.part = await find_part(asked, number);
      return found.part.path;
    };
    const reader = await services.readers.open(agent.id, find, signal);
    const { part } = found;
    try {
      // Rotated between the look and the opening, the name leads to the part after.
      const moved =
        part?.newest === true && may_rotate(agent, role) && (await find_part(asked, number)).path !== part.path;
      if (part?.kind !== "archive" && part && !moved) return { kind: "plain", part, reader };
    } catch (error) {
      await reader.let_go();
      throw error;
    }
    await reader.let_go();
    if (part?.kind === "archive") return { kind: "archive", part };
  }
}

async function find_part({ services, agent, role }: Asked, number: number): Promise<Part> {
  const part = (await list_parts(services, agent, role)).find((one) => one.number === number);
  if (!part) throw removed(agent);
  return part;
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
