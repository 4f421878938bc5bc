/**
 * Archives that are too old, or too much, the oldest first. An agent's archive is a unit: its files and its receipt, which goes last because it says
 * whose they are. Not touched are files that nobody can tell the agent of, that somebody holds (or nobody can tell), and those of an agent whose end is
 * not complete.
 */
import { z } from "zod";
import { is_foreign } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import { archive_dir, archived_receipt_path } from "../../contract/paths.ts";
import { read_in_place, remove_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";
import type { Task } from "../registry/task.ts";
import { type ListedFile, list_files } from "./list-files.ts";
import { archive_owner } from "./names.ts";
import type { Sweep } from "./sweep.ts";

interface Unit {
  task: Task;
  id: string;
  files: ListedFile[];
  bytes: number;
  /** When the agent ended, or its youngest file was made: the later of the two. By the wall clock, in ms. */
  at_ms: number;
}

const DAY_MS = 86_400_000;
const said_by_receipt = z.object({ agent_id: z.string(), ended_at: z.iso.datetime() });

export async function expired_archives(sweep: Sweep): Promise<void> {
  const { services } = sweep;
  const { days, max_bytes } = services.config.retention;
  const units: Unit[] = [];
  for (const task of services.registry.tasks.values()) units.push(...(await units_of(sweep, task)));
  units.sort((a, b) => a.at_ms - b.at_ms);
  for (const unit of units) sweep.archived.add(`${unit.task.task_id}/${unit.id}`);

  let total = units.reduce((sum, one) => sum + one.bytes, 0);
  const expired: { unit: Unit; why: string; by: "age" | "size" }[] = [];
  for (const unit of units) {
    const found = { what: "expired_archive", path: path_of(unit), why: `it is older than ${days} days` } as const;
    const old = services.ages.age_of(unit.at_ms) >= days * DAY_MS;
    if (total > max_bytes)
      expired.push({
        unit,
        by: "size",
        why: `all archives together have more than ${max_bytes} bytes, and it is the oldest`,
      });
    else if (old && sweep.is_settled(found, unit.at_ms)) expired.push({ unit, by: "age", why: found.why });
    else continue;
    total -= unit.bytes;
  }
  const held = await sweep.held(expired.flatMap(({ unit }) => unit.files.map((file) => file.path)));
  const gone: typeof expired = [];
  for (const one of expired) {
    const found = { what: "expired_archive", path: path_of(one.unit), why: one.why } as const;
    const reason = one.unit.files.map((file) => held.get(file.path) ?? null).find((text) => text !== null);
    if (reason) sweep.wait({ ...found, why: `${one.why}; ${reason}` });
    else if (
      await sweep.dispose(found, () => remove(one.unit), { files: one.unit.files.length, bytes: one.unit.bytes })
    ) {
      gone.push(one);
      sweep.archived.delete(`${one.unit.task.task_id}/${one.unit.id}`);
    }
  }
  if (gone.length === 0) return;
  const bytes = gone.reduce((sum, { unit }) => sum + unit.bytes, 0);
  const by_age = gone.filter(({ by }) => by === "age").length;
  services.events.emit({
    type: "archives_expired",
    agent_id: null,
    message: `the archives of ${gone.length} agents (${bytes} bytes) were removed: ${by_age} older than ${days} days, ${gone.length - by_age} over ${max_bytes} bytes`,
  });
}

const path_of = ({ task, id }: Unit) => archived_receipt_path(task.dir, id).replace(/receipt\.json$/, "*");

/** The receipt goes last: as long as there is a file there is somebody who says whose it is. */
async function remove({ task, id, files }: Unit): Promise<void> {
  const receipt = archived_receipt_path(task.dir, id);
  for (const { path } of files) {
    if (path !== receipt) await remove_in_place(path);
    crash_point("sweep.archive_half_removed");
  }
  await remove_in_place(receipt);
}

async function units_of(sweep: Sweep, task: Task): Promise<Unit[]> {
  const by_owner = new Map<string, ListedFile[]>();
  for (const file of await list_files(archive_dir(task.dir))) {
    const id = archive_owner(file.name);
    if (id && file.plain) by_owner.set(id, [...(by_owner.get(id) ?? []), file]);
    else if (!file.name.endsWith(".new")) leave(sweep, file);
  }
  const units: Unit[] = [];
  for (const [id, files] of by_owner) {
    const ended_ms = await end_of(task, id);
    if (ended_ms === "unknown") for (const file of files) leave(sweep, file);
    if (typeof ended_ms !== "number") continue;
    const at_ms = Math.max(ended_ms, ...files.map((file) => file.mtime_ms));
    units.push({ task, id, files, at_ms, bytes: files.reduce((sum, file) => sum + file.bytes, 0) });
  }
  return units;
}

const leave = (sweep: Sweep, { path }: ListedFile) =>
  sweep.leave({ what: "expired_archive", path, why: "no registry, journal or receipt says whose it is" });

/** When the agent ended. `busy`: it has not, quite, or is another program's. `unknown`: nobody knows it. */
async function end_of(task: Task, id: string): Promise<number | "busy" | "unknown"> {
  const agent = task.agents.get(id);
  if (agent) {
    const over = agent.receipt !== null && agent.cleanup_state === "done" && !is_foreign(agent);
    return over ? Date.parse(agent.receipt?.ended_at as string) : "busy";
  }
  const left = task.journal.get(id);
  if (left) return left.ended_ms;
  try {
    const said = said_by_receipt.safeParse(JSON.parse(await read_in_place(archived_receipt_path(task.dir, id))));
    return said.success && said.data.agent_id === id ? Date.parse(said.data.ended_at) : "unknown";
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof SupervisorError || is_errno(error, "ENOENT", "EACCES"))
      return "unknown";
    throw error;
  }
}
