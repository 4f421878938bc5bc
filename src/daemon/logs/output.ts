/**
 * What `get_output` answers: the newest lines of a log within limits, as one document. A log in its place is read from its end, no
 * further than needed; an archived one is unpacked from its beginning. Neither keeps more than what it answers, and one line.
 */
import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import type { AgentRecord } from "../../contract/agent.ts";
import { type OutputAnswer, type OutputQuery, RECENT_LINES } from "../../contract/operations/output.ts";
import type { Services } from "../services.ts";
import { joined, show_line } from "./format.ts";
import { compile_filter, lines_backwards, lines_of } from "./lines.ts";
import { Facts, facts_of } from "./log-facts.ts";
import { list_parts, type Part } from "./log-parts.ts";
import { gunzipped, log_role, will_grow_no_more } from "./log-stream.ts";
import { despite_moves } from "./moved.ts";
import { Picked } from "./picked.ts";
import { Summary } from "./summary.ts";

/** What a summary is made of, from the end of the log. In bytes. */
const SUMMARY_BYTES = 32 * 1024 * 1024;

/** A log that is rotated, set aside or archived meanwhile is read anew: the answer is one document, of one moment. */
export function get_output(
  services: Services,
  agent: AgentRecord,
  query: OutputQuery,
  signal: AbortSignal,
): Promise<OutputAnswer> {
  return despite_moves(agent.tracked_files[log_role(query.stream)] ?? agent.id, () =>
    read_output(services, agent, query, signal),
  );
}

async function read_output(
  services: Services,
  agent: AgentRecord,
  query: OutputQuery,
  signal: AbortSignal,
): Promise<OutputAnswer> {
  const keep = query.filter ? compile_filter(query.filter) : () => true;
  const parts = await list_parts(services, agent, log_role(query.stream));
  const ended = () => will_grow_no_more(agent);
  const format = { format: query.format, compact: query.response_format === "compact", ended };
  const tail = query.tail ?? (query.response_format === "recent" ? RECENT_LINES : Number.POSITIVE_INFINITY);
  const wants_summary = query.response_format === "summary";
  const picked = new Picked(tail, query.max_bytes);
  const summary = new Summary(ended);
  const files = await Promise.all(parts.map((part) => stat(part.path)));
  const sizes = files.map((file) => file.size);
  const size = sizes.reduce((sum, one) => sum + one, 0);
  const { mtime } = files.at(-1) as Stats;
  const reading = { services, agent, parts, sizes, signal };
  const read = (position: number) => forwards(reading, position);
  let facts: Facts;
  if (parts.some((part) => part.kind === "archive")) {
    facts = new Facts();
    for await (const line of lines_of(read(0))) {
      facts.add(line);
      if (wants_summary) summary.add(line);
      else if (keep(line.text)) picked.add_newer(show_line(line, format));
    }
  } else {
    if (wants_summary) {
      summary.complete = size <= SUMMARY_BYTES;
      let skip = !summary.complete;
      for await (const line of lines_of(read(Math.max(0, size - SUMMARY_BYTES)))) {
        // The first one has lost its beginning.
        if (!skip) summary.add(line);
        skip = false;
      }
    } else if (tail > 0) {
      let before = size;
      for await (const line of lines_backwards(backwards(reading))) {
        before -= line.bytes + (line.whole ? 1 : 0);
        if (keep(line.text) && !picked.add_older(show_line(line, format))) break;
        // What is before them is not read only to learn whether there is something.
        picked.earlier = before > 0;
        if (picked.full) break;
      }
    } else picked.earlier = size > 0;
    facts = await facts_of(read, size, backwards(reading));
  }
  const lines = joined(picked.pieces);
  return {
    success: true,
    agent_id: agent.id,
    status: agent.status,
    format: query.format,
    response_format: query.response_format,
    lines,
    line_count: lines.length,
    truncated: picked.truncated,
    earlier: picked.earlier,
    summary: wants_summary ? summary.result() : null,
    metadata: {
      source: (parts.at(-1) as Part).kind,
      total_bytes: facts.bytes,
      total_lines: facts.lines,
      first_timestamp: facts.first,
      last_timestamp: facts.last,
      modified_at: mtime.toISOString(),
    },
  };
}

interface Reading {
  services: Services;
  agent: AgentRecord;
  parts: Part[];
  /** Of the parts, as they are now. */
  sizes: number[];
  signal: AbortSignal;
}

/** The log from `position` on, part by part. Of a log with archived parts only the whole can be had. */
async function* forwards({ services, agent, parts, sizes, signal }: Reading, position: number): AsyncGenerator<Buffer> {
  let before = 0;
  for (const [index, { kind, path }] of parts.entries()) {
    const size = sizes[index] as number;
    const at = Math.max(0, position - before);
    before += size;
    if (kind === "archive") yield* await gunzipped(path);
    else if (at < size || index === parts.length - 1) yield* services.readers.read(agent.id, path, at, signal);
  }
}

/** The blocks of the log from its end to its beginning, part by part. */
async function* backwards({ services, agent, parts, signal }: Reading): AsyncGenerator<Buffer> {
  for (const { path } of parts.toReversed()) yield* services.readers.read_backwards(agent.id, path, signal);
}
