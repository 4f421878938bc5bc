/**
 * Where a log is: in one part, or, when it was rotated, in several. A part may be in its place, in the archive, or in trash; it keeps its
 * number wherever it is. The newest has the log's own name, and the number after the others.
 */
import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AgentRecord } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import { archive_dir, trash_dir } from "../../contract/paths.ts";
import { segment_path, segment_role } from "../../contract/segments.ts";
import { archived_path } from "../ending/archive.ts";
import { own_file } from "../own-file.ts";
import { is_half_rotated, segment_numbers } from "../segments.ts";
import type { Services } from "../services.ts";

export interface Part {
  number: number;
  kind: "log" | "archive" | "trash";
  path: string;
  /** It has the log's own name: it may grow, and be rotated. */
  newest: boolean;
}

/** True when the log may be in several parts. */
export function may_rotate(agent: AgentRecord, role: string): boolean {
  return agent.log_limit.max_bytes !== null || agent.tracked_files[segment_role(role, 1)] !== undefined;
}

/** The log's parts, the oldest first. Rejects with `log_not_found` when there is none. */
export async function list_parts(services: Services, agent: AgentRecord, role: string): Promise<Part[]> {
  const path = own_file(services, agent, role);
  if (!path)
    throw new SupervisorError(
      "log_not_found",
      `${agent.id} has no ${role}${role === "terminal_log" ? " (only agents deployed with --stdout pipe have one)" : ""}`,
    );
  const { dir } = services.registry.task_of(agent);
  const full = may_rotate(agent, role) ? await full_parts(dir, path) : [];
  const own = await newest_part(dir, path);
  const last = full.at(-1);
  if (own?.kind === "log" && last?.kind === "log" && (await is_half_rotated(path, last.number))) full.pop();
  const newest = own ? [{ ...own, number: (full.at(-1)?.number ?? 0) + 1, newest: true }] : [];
  if (full.length + newest.length > 0) return [...full, ...newest];
  throw gone(agent, archived_path(dir, path));
}

async function full_parts(dir: string, path: string): Promise<Part[]> {
  const parts = new Map<number, Part>();
  const add = (numbers: number[], kind: Part["kind"], place: (number: number) => string) => {
    for (const number of numbers) {
      if (!parts.has(number)) parts.set(number, { number, kind, path: place(number), newest: false });
    }
  };
  add(await segment_numbers(path), "log", (number) => segment_path(path, number));
  add(await segment_numbers(path, archive_dir(dir), ".gz"), "archive", (number) =>
    archived_path(dir, segment_path(path, number)),
  );
  add(await segment_numbers(path, trash_dir(dir)), "trash", (number) =>
    join(trash_dir(dir), basename(segment_path(path, number))),
  );
  return [...parts.values()].sort((a, b) => a.number - b.number);
}

async function newest_part(dir: string, path: string): Promise<Pick<Part, "kind" | "path"> | null> {
  if (await exists(path)) return { kind: "log", path };
  const archived = archived_path(dir, path);
  if (await exists(archived)) return { kind: "archive", path: archived };
  const trashed = join(trash_dir(dir), basename(path));
  return (await exists(trashed)) ? { kind: "trash", path: trashed } : null;
}

function gone(agent: AgentRecord, archived: string): SupervisorError {
  const { receipt } = agent;
  if (receipt?.cleanup.files_archived.includes(archived))
    return new SupervisorError(
      "log_not_found",
      `the log of ${agent.id} was archived at ${receipt.ended_at}, and its archive is gone: archives are kept for a while only (docs/retention.md)`,
    );
  return new SupervisorError(
    "log_not_found",
    `the log of ${agent.id} is gone: ${receipt ? `its files were handled at ${receipt.ended_at} ('supervisor status ${agent.id}' has the receipt)` : "it was not made"}`,
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
