/** What `logs` answers: the right file, the right part of it, in the right form. */
import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import { createGunzip } from "node:zlib";
import type { AgentRecord } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import type { LogQuery } from "../../contract/operations/output.ts";
import { trash_dir } from "../../contract/paths.ts";
import { is_ended } from "../../contract/status.ts";
import { archived_path } from "../ending/remove.ts";
import type { Services } from "../services.ts";
import { compile_filter, format_line, last_of, lines_of } from "./lines.ts";
import { position_of_last_lines } from "./readers.ts";

/** The log as a stream. Rejects before the first byte when there is no log, or the filter is wrong. */
export async function open_log_stream(
  services: Services,
  agent: AgentRecord,
  query: LogQuery,
  signal: AbortSignal,
): Promise<AsyncIterable<Buffer | string>> {
  const keep = query.filter ? compile_filter(query.filter) : null;
  const role = query.stream === "terminal" ? "terminal_log" : "log_file";
  const source = await find_log(services, agent, role);
  const by_line = keep !== null || query.format !== "text";
  if (source.kind === "archived") {
    const chunks = createReadStream(source.path).pipe(createGunzip()) as AsyncIterable<Buffer>;
    const lines = select(lines_of(chunks), keep);
    const shown = query.lines === undefined ? lines : last_of(lines, query.lines);
    return by_line || query.lines !== undefined ? formatted(shown, query) : chunks;
  }
  const follow = query.follow && !is_ended(agent.status);
  if (keep && query.lines !== undefined)
    return filtered_tail(services, agent.id, source.path, query, keep, follow, signal);
  const position = query.lines === undefined ? 0 : await position_of_last_lines(source.path, query.lines);
  const chunks = services.readers.read(agent.id, source.path, { position, follow, signal });
  return by_line ? formatted(select(lines_of(chunks), keep), query) : chunks;
}

/** The last matching lines, then, with follow, the matching ones to come. */
async function* filtered_tail(
  services: Services,
  agent_id: string,
  path: string,
  query: LogQuery,
  keep: (line: string) => boolean,
  follow: boolean,
  signal: AbortSignal,
) {
  let read = 0;
  const counted = async function* () {
    for await (const chunk of services.readers.read(agent_id, path, { position: 0, follow: false, signal })) {
      read += chunk.length;
      yield chunk;
    }
  };
  yield* formatted(last_of(select(lines_of(counted()), keep), query.lines as number), query);
  if (follow)
    yield* formatted(
      select(lines_of(services.readers.read(agent_id, path, { position: read, follow, signal })), keep),
      query,
    );
}

async function* select(lines: AsyncIterable<string>, keep: ((line: string) => boolean) | null) {
  for await (const line of lines) if (!keep || keep(line)) yield line;
}

async function* formatted(lines: AsyncIterable<string>, query: LogQuery) {
  for await (const line of lines) yield `${format_line(line, query.format)}\n`;
}

async function find_log(
  services: Services,
  agent: AgentRecord,
  role: string,
): Promise<{ kind: "plain" | "archived"; path: string }> {
  const path = agent.tracked_files[role];
  if (!path)
    throw new SupervisorError(
      "log_not_found",
      `${agent.id} has no ${role}${role === "terminal_log" ? " (only agents deployed with --stdout pipe have one)" : ""}`,
    );
  const { dir } = services.registry.task_of(agent);
  if (await exists(path)) return { kind: "plain", path };
  const archived = archived_path(dir, path);
  if (await exists(archived)) return { kind: "archived", path: archived };
  const trashed = join(trash_dir(dir), basename(path));
  if (await exists(trashed)) return { kind: "plain", path: trashed };
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
