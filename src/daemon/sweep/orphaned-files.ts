/**
 * Files that an agent's files are named like, in our own task's folders, and that belong to nobody: neither registry nor journal know the agent, and no
 * host of that name lives. They may hold what somebody printed; so they are kept as long as an archive is, and only then removed. A task whose
 * registry has entries that are no agents, or whose journal has lines that are no receipts, is left alone: one of them may be the owner.
 */
import { join } from "node:path";
import { short_agent_id } from "../../contract/ids.ts";
import { host_socket, trash_dirs } from "../../contract/paths.ts";
import { remove_in_place } from "../../drivers/in-place.ts";
import type { Task } from "../registry/task.ts";
import { type ListedFile, list_files } from "./list-files.ts";
import { AGENT_FILES, file_owner } from "./names.ts";
import { somebody_listens } from "./somebody-listens.ts";
import type { Garbage, Sweep } from "./sweep.ts";
import { has_strange_entries } from "./unreadable.ts";

const DAY_MS = 86_400_000;

export async function orphaned_files(sweep: Sweep): Promise<void> {
  const { registry, config } = sweep.services;
  const { days } = config.retention;
  const orphans: { file: ListedFile; found: Garbage }[] = [];
  for (const task of registry.tasks.values()) {
    for (const { file, id } of await named_files(task)) {
      if (task.agents.has(id) || task.journal.get(id)) continue;
      const why = `it is named after ${id}, which no registry, journal or host knows`;
      const found: Garbage = { what: "orphaned_file", path: file.path, why };
      const doubt = await why_not(sweep, task, id, file);
      if (doubt) sweep.leave({ ...found, why: `${why}; ${doubt}` });
      else if (sweep.services.ages.age_of(file.mtime_ms) < days * DAY_MS)
        sweep.wait({ ...found, why: `${why}; it is kept for ${days} days, like an archive` });
      else if (sweep.is_settled(found, file.mtime_ms)) orphans.push({ file, found });
    }
  }
  const held = await sweep.held(orphans.map(({ file }) => file.path));
  for (const { file, found } of orphans) {
    const reason = held.get(file.path);
    if (reason) sweep.wait({ ...found, why: `${found.why}; ${reason}` });
    else await sweep.dispose(found, () => remove_in_place(file.path), { files: 1, bytes: file.bytes });
  }
}

async function named_files(task: Task): Promise<{ file: ListedFile; id: string }[]> {
  const named: { file: ListedFile; id: string }[] = [];
  const folders = [...new Set(AGENT_FILES.map(([folder]) => folder))];
  for (const folder of folders)
    for (const file of await list_files(folder === "" ? task.dir : join(task.dir, folder))) {
      const id = file_owner(folder, file.name);
      if (id) named.push({ file, id });
    }
  for (const trash of trash_dirs(task.dir))
    for (const file of await list_files(trash)) {
      // The second of a name has a number there.
      const name = file.name.replace(/\.\d+$/, "");
      const id = folders.map((folder) => file_owner(folder, name)).find((one) => one !== null);
      if (id) named.push({ file, id });
    }
  return named;
}

/** Why nobody can tell that it is an orphan, or null. */
async function why_not({ services }: Sweep, task: Task, id: string, file: ListedFile): Promise<string | null> {
  if (!file.plain) return "it is a link, or has another name or owner as well";
  if (has_strange_entries(task)) return "the task's registry has entries that are no agents, and one may be its owner";
  if (task.journal.unreadable > 0)
    return "the task's journal has lines that are no receipts, and one may be of its owner";
  if (services.registry.is_taken(short_agent_id(id))) return "an agent of another task has this number";
  return (await somebody_listens(host_socket(services.runtime_dir, id))) ? "a host of that name lives" : null;
}
