/**
 * The full parts of an agent's logs: found by their names beside the log, and tracked like its other files. The host rotates, with or without a
 * daemon; the names follow from the log's own name, so that nothing has to be remembered in order to find them.
 */
import type { Stats } from "node:fs";
import { lstat, readdir, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type AgentRecord, is_foreign } from "../contract/agent.ts";
import { is_errno, message_of } from "../contract/errors.ts";
import { segment_number, segment_path, segment_role } from "../contract/segments.ts";
import { in_directory } from "../drivers/in-place.ts";
import type { Services } from "./services.ts";

const LOG_ROLES = ["log_file", "terminal_log"];

/** The numbers of the full parts of the log at `path` in `dir`, oldest first. `ending` is what an archive has after its name. */
export async function segment_numbers(path: string, dir = dirname(path), ending = ""): Promise<number[]> {
  const names = await readdir(dir).catch((error) => {
    if (is_errno(error, "ENOENT")) return [];
    throw error;
  });
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => segment_number(path, name.slice(0, name.length - ending.length)))
    .filter((number) => number !== null)
    .sort((a, b) => a - b);
}

/** True when a log and its newest part are one file with two names: a rotation is just under way, or its host was killed in the middle. */
export async function is_half_rotated(path: string, number: number): Promise<boolean> {
  const [log, part] = await Promise.all([facts(path), facts(segment_path(path, number))]);
  return log !== null && part !== null && log.ino === part.ino && log.dev === part.dev;
}

/** Adds the parts that are there to the agent's tracked files. True when there were new ones. The caller makes it durable. */
export async function track_segments(agent: AgentRecord): Promise<boolean> {
  let found = false;
  for (const role of is_foreign(agent) ? [] : LOG_ROLES) {
    const path = agent.tracked_files[role];
    for (const number of path ? await segment_numbers(path) : []) {
      const name = segment_role(role, number);
      if (agent.tracked_files[name] !== undefined || (await is_half_rotated(path as string, number))) continue;
      agent.tracked_files[name] = segment_path(path as string, number);
      found = true;
    }
  }
  return found;
}

/** Of a log with two names the second is taken away: nothing of its content goes. For an agent whose host is gone. */
export async function undo_half_rotations(agent: AgentRecord): Promise<void> {
  for (const role of is_foreign(agent) ? [] : LOG_ROLES) {
    const path = agent.tracked_files[role];
    const newest = path ? (await segment_numbers(path)).at(-1) : undefined;
    if (path === undefined || newest === undefined || !(await is_half_rotated(path, newest))) continue;
    await in_directory(dirname(path), (at) => rm(at(basename(segment_path(path, newest)))));
  }
}

/** What is done when a host says that it rotated a log. */
export async function note_rotation(services: Services, agent: AgentRecord): Promise<void> {
  try {
    if (await track_segments(agent)) await services.registry.update(agent, { tracked_files: agent.tracked_files });
  } catch (error) {
    // They are looked for again at the end.
    services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a part of a log could not be noted");
  }
}

async function facts(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}

/** The bytes of a log and its parts, for an account that no host gave; null when there is no log. */
export async function measure_log(path: string): Promise<{ bytes: number; segments: number } | null> {
  const numbers = await segment_numbers(path);
  const all = await Promise.all([path, ...numbers.map((number) => segment_path(path, number))].map(facts));
  if (!all[0]?.isFile()) return null;
  return { bytes: all.reduce((sum, one) => sum + (one?.isFile() ? one.size : 0), 0), segments: numbers.length };
}
