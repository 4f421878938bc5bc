/**
 * Tasks of which nothing is left: no agent in the registry or the journal, and no file but the task's own. Its directory is renamed first, so
 * that a crash leaves no task without its registry; a renamed one that is found is removed by the next sweep. Anything in it that the
 * supervisor did not make keeps the task.
 */
import { readdir, rename, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { is_errno } from "../../contract/errors.ts";
import { journal_path, own_trash_dir, registry_path, task_folders } from "../../contract/paths.ts";
import { in_directory, remove_in_place } from "../../drivers/in-place.ts";
import { sum_receipts } from "../registry/count-agents.ts";
import type { Task } from "../registry/task.ts";
import { list_files } from "./list-files.ts";
import type { Sweep } from "./sweep.ts";

const DAY_MS = 86_400_000;
/** A task that is on its way out. */
const EXPIRED = /^\.expired-TASK-\d{8}-\d{6}-[0-9a-f]{8}$/;

export async function expired_tasks(sweep: Sweep): Promise<void> {
  const { registry, workspace, ages, config, events } = sweep.services;
  const { days } = config.retention;
  for (const name of await readdir(workspace)) {
    if (!EXPIRED.test(name)) continue;
    const dir = join(workspace, name);
    await sweep.dispose({ what: "expired_task", path: dir, why: "it is of a task that expired" }, () => remove(dir));
  }
  for (const task of registry.tasks.values()) {
    if (is_in_use(task)) continue;
    // Written at each change of the task, so that it tells when the last agent left.
    const changed = (await list_files(task.dir)).find((one) => one.path === registry_path(task.dir))?.mtime_ms;
    const at_ms = Math.max(Date.parse(task.store.data.created_at) || 0, changed ?? Number.POSITIVE_INFINITY);
    if (ages.age_of(at_ms) < days * DAY_MS) continue;
    const why = `nothing is left of its agents, and it is older than ${days} days`;
    const found = { what: "expired_task", path: task.dir, why } as const;
    const stranger = await find_stranger(task.dir);
    if (stranger) sweep.leave({ ...found, why: `${why}; but ${stranger} is not the supervisor's` });
    else if (sweep.is_settled(found, at_ms) && (await sweep.dispose(found, () => retire(sweep, task))))
      events.emit({ type: "task_expired", agent_id: null, message: `${task.task_id} was removed: ${why}` });
  }
}

/** Lines of the journal that are no receipts may be of an agent all the same. */
const is_in_use = ({ store, agents, journal }: Task) =>
  store.data.agents.length > 0 || agents.size > 0 || journal.count > 0 || journal.unreadable > 0;

/** Folders that the supervisor makes in a task, those first that others stand in. */
const own_folders = (dir: string) => [...task_folders(dir), ...task_folders(dir).map(own_trash_dir)];
const own_files = (dir: string) => [registry_path(dir), `${registry_path(dir)}.bak`, journal_path(dir)];

/** Something in the task's directory that is not the supervisor's own, or null. */
async function find_stranger(dir: string): Promise<string | null> {
  const folders = own_folders(dir);
  const known = new Set([...own_files(dir), ...folders]);
  for (const folder of folders) {
    const names = await in_directory(folder, (at) => readdir(at("."))).catch((error) => {
      if (is_errno(error, "ENOENT")) return [];
      throw error;
    });
    const found = names.map((name) => join(folder, name)).find((path) => !known.has(path));
    if (found) return found;
  }
  return null;
}

/** Nothing is awaited between the look and the forgetting: an agent that is deployed meanwhile keeps its task. */
async function retire({ services }: Sweep, task: Task): Promise<void> {
  const { registry } = services;
  await registry.ledger.retire(task.task_id, sum_receipts(task));
  if (is_in_use(task)) throw new Error("an agent was deployed into it meanwhile");
  registry.forget_task(task);
  services.book.forget(task.task_id);
  const aside = join(dirname(task.dir), `.expired-${task.task_id}`);
  await in_directory(dirname(task.dir), (at) => rename(at(basename(task.dir)), at(basename(aside))));
  await remove(aside);
}

/** Removes the supervisor's own files and folders. Anything else in it makes the last step fail, and stays. */
async function remove(dir: string): Promise<void> {
  for (const path of own_files(dir)) await remove_in_place(path);
  for (const folder of own_folders(dir).reverse())
    await rmdir(folder).catch((error) => {
      if (!is_errno(error, "ENOENT")) throw error;
    });
}
