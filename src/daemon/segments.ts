/**
 * The full parts of an agent's logs. The host rotates, with or without a daemon, and records each part beside its exit record before the part
 * gets its name: number, inode and device. A file is a part only when it is that very inode: what somebody else put under such a name is not
 * the agent's, and is neither shown nor removed.
 */
import type { Stats } from "node:fs";
import { z } from "zod";
import { type AgentRecord, is_foreign, type TrackedFiles } from "../contract/agent.ts";
import { is_errno, message_of } from "../contract/errors.ts";
import { exit_record_path, parts_record_path } from "../contract/paths.ts";
import { segment_path, segment_role } from "../contract/segments.ts";
import { is_out_of_place, read_in_place, remove_in_place, what_stands_at } from "../drivers/in-place.ts";
import { crash_point } from "../faults/crash-point.ts";
import type { Services } from "./services.ts";

const LOG_ROLES = ["log_file", "terminal_log"];
const recorded_part = z.object({ path: z.string(), number: z.int().positive(), ino: z.int(), dev: z.int() });
type RecordedPart = z.infer<typeof recorded_part>;

/** The numbers of the log's full parts, oldest first: those that are tracked, and those that the host recorded and that are there. */
export async function segment_numbers(services: Services, agent: AgentRecord, role: string): Promise<number[]> {
  return (await look_at(services, agent, role)).numbers;
}

/** The log itself, and the numbers of the full parts that were before it: at one moment, however often it is rotated meanwhile. */
async function look_at(
  services: Services,
  agent: AgentRecord,
  role: string,
): Promise<{ log: Stats | null; numbers: number[] }> {
  const path = agent.tracked_files[role];
  if (path === undefined) return { log: null, numbers: [] };
  const known = Object.keys(agent.tracked_files)
    .filter((name) => name.startsWith(`${role}.`))
    .map((name) => Number(name.slice(role.length + 1)))
    .filter((number) => Number.isInteger(number) && number > 0);
  const numbers = new Set(known);
  const log = await what_stands_at(path);
  const parts = await recorded(services, agent, path);
  // The log may be on record as well: its rotation is under way, was cut off with its host, or came after the look. What follows it is not looked at.
  const own = log ? parts.filter((part) => is_same(log, part)).map((part) => part.number) : [];
  for (const part of parts.filter(({ number }) => number < Math.min(...own))) {
    const there = await what_stands_at(segment_path(path, part.number));
    if (there && is_same(there, part)) numbers.add(part.number);
  }
  return { log, numbers: [...numbers].sort((a, b) => a - b) };
}

/** Adds the parts that are there to the agent's tracked files. True when there were new ones. The caller makes it durable. */
export async function track_segments(services: Services, agent: AgentRecord): Promise<boolean> {
  const found: TrackedFiles = {};
  for (const role of is_foreign(agent) ? [] : LOG_ROLES) {
    for (const number of await segment_numbers(services, agent, role)) {
      const name = segment_role(role, number);
      if (agent.tracked_files[name] === undefined)
        found[name] = segment_path(agent.tracked_files[role] as string, number);
    }
  }
  if (Object.keys(found).length === 0) return false;
  agent.tracked_files = { ...agent.tracked_files, ...found };
  return true;
}

/** What a rotation that was cut off left: a second name of the log, which is taken away, and the empty file beside it. For an agent whose host is gone. */
export async function undo_half_rotations(services: Services, agent: AgentRecord): Promise<void> {
  for (const role of is_foreign(agent) ? [] : LOG_ROLES) {
    const path = agent.tracked_files[role];
    const parts = path ? await recorded(services, agent, path) : [];
    if (path === undefined || parts.length === 0) continue;
    await remove_in_place(`${path}.new`);
    const log = await what_stands_at(path);
    for (const part of parts) {
      const there = await what_stands_at(segment_path(path, part.number));
      if (log && there && is_same(log, part) && is_same(there, part)) {
        await remove_in_place(segment_path(path, part.number));
        crash_point("end.rotation_undone");
      }
    }
  }
}

/** What is done when a host says that it rotated a log. */
export async function note_rotation(services: Services, agent: AgentRecord): Promise<void> {
  try {
    if (!(await track_segments(services, agent))) return;
    await services.registry.update(agent, { tracked_files: agent.tracked_files });
    crash_point("rotation.recorded");
  } catch (error) {
    // They are looked for again at the end.
    services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a part of a log could not be noted");
  }
}

/** The bytes of a log and its parts; null when there is no log. */
export async function measure_log(
  services: Services,
  agent: AgentRecord,
  role: string,
): Promise<{ bytes: number; segments: number } | null> {
  const path = agent.tracked_files[role];
  if (path === undefined) return null;
  const { log, numbers } = await look_at(services, agent, role);
  if (!log?.isFile()) return null;
  const parts = await Promise.all(numbers.map((number) => what_stands_at(segment_path(path, number))));
  const bytes = [log, ...parts].reduce((sum, one) => sum + (one?.isFile() ? one.size : 0), 0);
  return { bytes, segments: numbers.length };
}

/** What the host recorded of the log at `path`. A last line that is not whole was never acted on. */
async function recorded(services: Services, agent: AgentRecord, path: string): Promise<RecordedPart[]> {
  const record = parts_record_path(exit_record_path(services.registry.task_of(agent).dir, agent.id));
  const text = await read_in_place(record).catch((error) => {
    // A record that leads to another place is no word of the host's.
    if (is_errno(error, "ENOENT") || is_out_of_place(error)) return "";
    throw error;
  });
  const parts = text.split("\n").flatMap((line) => {
    const parsed = recorded_part.safeParse(parse(line));
    return parsed.success && parsed.data.path === path ? [parsed.data] : [];
  });
  return parts;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

const is_same = (one: Stats, part: RecordedPart) => one.isFile() && one.ino === part.ino && one.dev === part.dev;
