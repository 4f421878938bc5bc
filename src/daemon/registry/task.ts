/** A task with its agents, as it comes from the disk or is made there. */
import { mkdir, rmdir } from "node:fs/promises";
import { basename } from "node:path";
import { type AgentRecord, agent_record, REGISTRY_VERSION, type RegistryFile } from "../../contract/agent.ts";
import { is_errno, message_of } from "../../contract/errors.ts";
import { new_task_id } from "../../contract/ids.ts";
import { journal_path, registry_path, task_dir, task_folders } from "../../contract/paths.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { Journal } from "./journal.ts";
import { recover_agents } from "./recover.ts";
import { RegistryStore } from "./store.ts";

export interface Task {
  task_id: string;
  dir: string;
  store: RegistryStore;
  agents: Map<string, AgentRecord>;
  /** Agents that have ended and left. */
  journal: Journal;
}

type Warn = (text: string) => void;

/**
 * Loads a task. A registry that is missing or broken is loaded from its last good copy, and filled up from what else is on disk. Rejects
 * when it is one to be left alone.
 */
export async function load_task(dir: string, warn: Warn): Promise<Task> {
  const { store, source } = await RegistryStore.load(registry_path(dir), empty_registry(dir), warn);
  const journal = await Journal.load(journal_path(dir), warn);
  const agents = new Map<string, AgentRecord>();
  // In both: a crash came between the journal and the registry. It has left, as soon as the journal is sure to last.
  if (store.data.agents.some((raw) => has_left(journal, raw))) await journal.sync();
  store.data.agents = store.data.agents.filter((raw) => !has_left(journal, raw));
  store.data.agents = store.data.agents.map((raw) => {
    const parsed = agent_record.safeParse(raw);
    const usable = parsed.success && !agents.has(parsed.data.id);
    if (usable) agents.set(parsed.data.id, parsed.data);
    else warn(`${store.path}: an entry is not an agent, or its id is there twice, and is kept as it is`);
    return usable ? parsed.data : raw;
  });
  await Promise.all(task_folders(dir).map((folder) => mkdir(folder, { recursive: true, mode: 0o700 })));
  const task = { task_id: basename(dir), dir, store, agents, journal };
  if (source !== "file") await fill_up(task, source, warn);
  return task;
}

/** The registry is not what it was: who else has files here is put into it. */
async function fill_up({ dir, store, agents, journal }: Task, source: string, warn: Warn): Promise<void> {
  const known = new Set([...agents.keys(), ...[...journal.entries()].map((one) => one.id)]);
  const found = await recover_agents(dir, known);
  for (const agent of found) agents.set(agent.id, agent);
  store.data.agents.push(...found);
  await store.flush().catch((error) => warn(`${store.path}: not written yet: ${message_of(error)}`));
  warn(
    source === "last_good"
      ? `${store.path}: the last good copy is used${found.length > 0 ? `; ${found.length} agents that it lacks were found by their files` : ""}`
      : `${store.path}: there is no good copy; the registry was rebuilt from the task's files (${found.length} agents)`,
  );
}

/** Makes a task. Durable when it resolves; when it rejects, nothing is left of it. */
export async function make_task(
  workspace: string,
  { description, now, extra }: { description: string; now: Date; extra: Record<string, unknown> },
  warn: Warn,
): Promise<Task> {
  const task_id = new_task_id(now);
  const dir = task_dir(workspace, task_id);
  const made: string[] = [];
  try {
    for (const folder of task_folders(dir)) {
      await mkdir(folder, { mode: 0o700 });
      made.push(folder);
    }
    crash_point("task.folders_made");
    const data = { ...empty_registry(dir), task_description: description, created_at: now.toISOString(), ...extra };
    const store = await RegistryStore.create(registry_path(dir), data, warn);
    return { task_id, dir, store, agents: new Map(), journal: await Journal.load(journal_path(dir), warn) };
  } catch (error) {
    // No room for a task: nothing is left of it. Only its own, empty folders go.
    for (const folder of made.reverse())
      await rmdir(folder).catch((again) => {
        if (!is_errno(again, "ENOTEMPTY", "EROFS", "ENOENT")) throw again;
      });
    throw error;
  }
}

/** True for an entry whose agent is in the journal. */
function has_left(journal: Journal, raw: unknown): boolean {
  const id = (raw as { id?: unknown } | null)?.id;
  return typeof id === "string" && journal.get(id) !== undefined;
}

function empty_registry(dir: string): RegistryFile {
  return {
    task_id: basename(dir),
    task_description: "",
    created_at: "",
    workspace: dir,
    status: "INITIALIZED",
    priority: "P2",
    registry_version: REGISTRY_VERSION,
    agents: [],
  };
}
