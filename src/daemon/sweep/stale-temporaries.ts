/** Halves of writes that never came to their end, in the workspace and in its tasks. One that is being written is young, or held. */
import { basename, join } from "node:path";
import { archive_dir, daemon_file, exits_dir, journal_path, ledger_path, registry_path } from "../../contract/paths.ts";
import { remove_in_place } from "../../drivers/in-place.ts";
import { process_ref_of } from "../../drivers/procfs.ts";
import { is_unfinished } from "../ending/end.ts";
import { type ListedFile, list_files } from "./list-files.ts";
import { archive_owner } from "./names.ts";
import type { Garbage, Sweep } from "./sweep.ts";
import { has_unreadable } from "./unreadable.ts";

/** What is written beside a file before it is renamed: by this version, and by the one before (write-file-atomic: a number). */
export const atomic_temp = (name: string) => new RegExp(`^${name.replaceAll(".", "\\.")}(?:\\.bak)?\\.(?:new|\\d+)$`);
/** Half of a write to the workspace's own files. */
export const is_half_written = (name: string) =>
  [daemon_file(""), ledger_path("")].some((path) => atomic_temp(basename(path)).test(name));
/** What a daemon writes at its start to see that it can. */
export const PROBE = /^\.write-probe-(\d+)$/;

const WHY = "it is half of a write that did not come to its end";

export async function stale_temporaries(sweep: Sweep): Promise<void> {
  const { registry, workspace } = sweep.services;
  const stale: ListedFile[] = [];
  const take = async (dir: string, fits: (name: string) => boolean) =>
    stale.push(...(await list_files(dir)).filter((one) => one.plain && fits(one.name)));
  await take(workspace, (name) => {
    const probe = PROBE.exec(name)?.[1];
    return is_half_written(name) || (probe !== undefined && !process_ref_of(Number(probe)));
  });
  for (const task of registry.tasks.values()) {
    const own = [registry_path(task.dir), journal_path(task.dir)].map((path) => atomic_temp(basename(path)));
    await take(task.dir, (name) => own.some((pattern) => pattern.test(name)));
    const living = (id: string | null | undefined) => {
      const agent = id ? task.agents.get(id) : undefined;
      return agent !== undefined && is_unfinished(agent);
    };
    const known = (id: string) => task.agents.has(id) || task.journal.get(id) !== undefined;
    await take(archive_dir(task.dir), (name) => {
      const id = archive_owner(name.replace(/\.new$/, ""));
      if (!name.endsWith(".new") || id === null || living(id)) return false;
      if (known(id) || !has_unreadable(task)) return true;
      const path = join(archive_dir(task.dir), name);
      sweep.leave({
        what: "stale_temporary",
        path,
        why: `${WHY}; but the registry or journal has what nobody can read, and that may be of its agent`,
      });
      return false;
    });
    await take(exits_dir(task.dir), (name) => {
      const id = /^(.+)\.json\.new$/.exec(name)?.[1];
      return id !== undefined && known(id) && !living(id);
    });
  }
  const found = (file: ListedFile): Garbage => ({
    what: "stale_temporary",
    path: file.path,
    why: WHY,
  });
  const settled = stale.filter((file) => sweep.is_settled(found(file), file.mtime_ms));
  const held = await sweep.held(settled.map((file) => file.path));
  for (const file of settled) {
    const reason = held.get(file.path);
    if (reason) sweep.wait({ ...found(file), why: `${found(file).why}; ${reason}` });
    else await sweep.dispose(found(file), () => remove_in_place(file.path), { files: 1, bytes: file.bytes });
  }
}
