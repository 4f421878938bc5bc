/**
 * What runs that were killed left behind, removed at a start, under the workspace lock: only what has a name that nobody but the
 * supervisor gives, and that provably belongs to nothing any more. What belongs to an agent whose end is not complete is left to that
 * end; what nobody can tell the owner of is named in the log and left alone.
 */
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AgentRecord } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import { archive_dir, exit_record_path, exits_dir, registry_path, trash_dirs } from "../contract/paths.ts";
import { what_stands_at } from "../drivers/in-place.ts";
import { process_ref_of } from "../drivers/procfs.ts";
import { unfinished_archive } from "./ending/archive.ts";
import { is_unfinished } from "./ending/end.ts";
import type { Task } from "./registry/task.ts";
import type { Services } from "./services.ts";
import { archive_owner } from "./sweep/names.ts";
import { files_of_nobody } from "./sweep/runtime-files.ts";
import { atomic_temp, is_half_written, PROBE } from "./sweep/stale-temporaries.ts";

/** Sweeps once. Never fails: what cannot be removed is named in the log. Call it before the first write to a registry. */
export async function sweep_leftovers(services: Services): Promise<void> {
  const steps = [
    () => sweep_workspace(services),
    () => sweep_runtime_dir(services),
    ...[...services.registry.tasks.values()].map((task) => () => sweep_task(services, task)),
  ];
  for (const step of steps) {
    await step().catch((error) =>
      services.log.warn({ error: message_of(error) }, "what an earlier run left behind was not all swept"),
    );
  }
}

/** Temporary files of the workspace itself, probes of daemons that are gone. */
async function sweep_workspace(services: Services): Promise<void> {
  const { workspace } = services;
  for (const name of await readdir(workspace)) {
    const probe = PROBE.exec(name);
    if (is_half_written(name)) await remove(services, join(workspace, name));
    if (probe && !process_ref_of(Number(probe[1]))) await remove(services, join(workspace, name));
  }
}

/** Sockets, pipes and stderr files of hosts that no agent has and that nobody listens on. */
async function sweep_runtime_dir(services: Services): Promise<void> {
  // A registry that could not be read may be the one that knows the host.
  if (services.registry.left_alone.size > 0) return;
  for (const { name, path, somebody_listens } of await files_of_nobody(services)) {
    if (await somebody_listens())
      services.log.warn({ socket: name }, "a host that no registry knows still runs; it is left alone");
    else await remove(services, path);
  }
}

/** Half-written registries, exit records and archives; and what in trash belongs to no agent is named. */
async function sweep_task(services: Services, task: Task): Promise<void> {
  const agents = [...task.agents.values()];
  const over = agents.filter((agent) => !is_unfinished(agent));
  for (const name of await names_in(task.dir))
    if (atomic_temp(basename(registry_path(task.dir))).test(name)) await remove(services, join(task.dir, name));
  const records = new Set(over.flatMap((agent) => both(exit_record_path(task.dir, agent.id))));
  for (const path of await paths_in(exits_dir(task.dir))) if (records.has(path)) await remove(services, path);
  const copies = new Set(agents.flatMap((agent) => unfinished_archives(task, agent)));
  for (const name of await names_in(archive_dir(task.dir))) {
    const path = join(archive_dir(task.dir), name);
    if (copies.has(path) || is_half_receipt(task, name)) await remove(services, path);
  }
  const awaited = new Set(agents.flatMap((agent) => in_trash(task, agent)));
  const aside = (await Promise.all(trash_dirs(task.dir).map(paths_in))).flat();
  for (const path of aside)
    if (!awaited.has(path))
      services.log.warn({ path }, "nobody can tell whose this file in trash is; it is left alone");
}

const both = (record: string) => [record, `${record}.new`];

/** A copy under way has its original in trash still, and is made anew. */
function unfinished_archives(task: Task, agent: AgentRecord): string[] {
  const listed = (agent.ending?.set_aside ?? []).map((file) => file.trash_path);
  return [...Object.values(agent.tracked_files), ...listed].map((path) => unfinished_archive(task.dir, path));
}

/** A receipt beside an archive is written anew whenever it changes, and whole in the agent's own entry. */
function is_half_receipt(task: Task, name: string): boolean {
  if (!/_receipt\.json\.new$/.test(name)) return false;
  const owner = archive_owner(name.replace(/\.new$/, ""));
  return owner !== null && (task.agents.has(owner) || task.journal.get(owner) !== undefined);
}

/** Where an agent's files may be in trash: on the list of its end, or moved there just before the list was written. */
function in_trash(task: Task, agent: AgentRecord): string[] {
  const listed = (agent.ending?.set_aside ?? []).map((file) => file.trash_path);
  const moved = Object.values(agent.tracked_files).flatMap((path) =>
    trash_dirs(task.dir).map((dir) => join(dir, basename(path))),
  );
  return is_unfinished(agent) ? [...listed, ...moved] : listed;
}

async function names_in(dir: string): Promise<string[]> {
  const facts = await what_stands_at(dir);
  // A link in a folder's place leads to somebody else's files.
  return facts?.isDirectory() ? readdir(dir) : [];
}

const paths_in = async (dir: string) => (await names_in(dir)).map((name) => join(dir, name));

async function remove(services: Services, path: string): Promise<void> {
  await rm(path, { force: true });
  services.log.info({ path }, "what an earlier run left behind was removed");
}
