/**
 * Where a log is: in one part, or, when it was rotated, in several. A part may be in its place, in the archive, or in trash; it keeps its
 * number wherever it is. The newest has the log's own name, and the number after the others.
 */
import type { AgentRecord } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { segment_path } from "../../contract/segments.ts";
import { archived_path } from "../ending/archive.ts";
import { own_file } from "../own-file.ts";
import { segment_numbers } from "../segments.ts";
import type { Services } from "../services.ts";
import { place_of, type TrackedPlace } from "../tracked-place.ts";

export interface Part extends TrackedPlace {
  number: number;
  /** It has the log's own name: it may grow, and be rotated. */
  newest: boolean;
}

/** True when the log may be in several parts. */
export function may_rotate(agent: AgentRecord, role: string): boolean {
  return (
    agent.log_limit.max_bytes !== null || Object.keys(agent.tracked_files).some((name) => name.startsWith(`${role}.`))
  );
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
  const full = may_rotate(agent, role) ? await full_parts(services, agent, role, path) : [];
  const own = await place_of(dir, path);
  const newest = own ? [{ ...own, number: (full.at(-1)?.number ?? 0) + 1, newest: true }] : [];
  if (full.length + newest.length > 0) return [...full, ...newest];
  throw gone(agent, archived_path(dir, path));
}

async function full_parts(services: Services, agent: AgentRecord, role: string, path: string): Promise<Part[]> {
  const { dir } = services.registry.task_of(agent);
  const parts: Part[] = [];
  for (const number of await segment_numbers(services, agent, role)) {
    const place = await place_of(dir, segment_path(path, number));
    if (place) parts.push({ ...place, number, newest: false });
  }
  return parts;
}

function gone(agent: AgentRecord, archived: string): SupervisorError {
  const { receipt } = agent;
  if (agent.status === "queued" || agent.status === "deploying")
    return new SupervisorError(
      "log_not_found",
      `${agent.id} has printed nothing yet: it ${agent.status === "queued" ? `waits in the queue ('supervisor status ${agent.id}' says for what)` : "is being started"}`,
    );
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
