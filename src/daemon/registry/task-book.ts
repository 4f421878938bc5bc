/** The tasks of a workspace, each with its registry and its journal: found at a start, made, made again when they were lost. Part of the registry. */
import { mkdir, readdir } from "node:fs/promises";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import { TASK_ID_PATTERN } from "../../contract/ids.ts";
import { task_dir } from "../../contract/paths.ts";
import { Lane, no_answer, within } from "../patience.ts";
import { Ledger } from "./ledger.ts";
import { load_task, make_task, type Task } from "./task.ts";

/** How many warnings are kept; whoever edits a running supervisor's registry in a loop must not fill its memory. */
const WARNINGS_KEPT = 100;

export class TaskBook {
  /** What counts on when its records are gone. */
  readonly ledger: Ledger;
  readonly tasks = new Map<string, Task>();
  /** Tasks whose registry was left alone, with the reason. Nothing of theirs may be written. */
  readonly left_alone = new Map<string, string>();
  /** Everything that a person should know; whoever sets `on_warning` hears of the later ones as they come. */
  readonly warnings: string[] = [];
  on_warning: (text: string) => void = () => {};
  /** Told how long each write of a registry took, in ms. */
  on_write: (ms: number, ok: boolean) => void = () => {};
  private making_default: Promise<Task> | null = null;
  /** One at a time: a file system that does not answer holds one call of ours. */
  private readonly making = new Lane(1);
  /** Tasks that are being made again: several hosts of one task may ask at once. */
  private readonly restoring = new Map<string, Promise<Task>>();

  constructor(readonly workspace: string) {
    this.ledger = new Ledger(workspace, (task_id) => this.tasks.has(task_id));
  }

  private readonly warn = (text: string): void => {
    this.warnings.push(text);
    if (this.warnings.length > WARNINGS_KEPT) this.warnings.shift();
    this.on_warning(text);
  };

  /**
   * Loads every task of the workspace. A registry that is missing or broken is loaded from its last good copy, and filled up from what
   * else is on disk; one that must be left alone is named in `warnings` and in `left_alone`.
   */
  async load(): Promise<void> {
    await this.ledger.load(this.warn);
    for (const entry of await readdir(this.workspace, { withFileTypes: true })) {
      if (!TASK_ID_PATTERN.test(entry.name)) continue;
      try {
        if (!entry.isDirectory()) throw new Error(`${entry.name} is not a directory; it is left alone`);
        await this.load_task(task_dir(this.workspace, entry.name));
      } catch (error) {
        this.left_alone.set(entry.name, message_of(error));
        this.warn(message_of(error));
      }
    }
  }

  private async load_task(dir: string): Promise<Task> {
    return this.take_in(await load_task(dir, this.warn));
  }

  private take_in(task: Task): Task {
    task.store.on_write = (ms, ok) => this.on_write(ms, ok);
    this.tasks.set(task.task_id, task);
    return task;
  }

  /** The task with this id, made again if its directory was lost. Rejects when its registry is one to be left alone. */
  async restore_task(task_id: string): Promise<Task> {
    const known = this.tasks.get(task_id);
    if (known) return known;
    const reason = this.left_alone.get(task_id);
    if (reason !== undefined) throw new SupervisorError("registry_unreadable", reason);
    const under_way = this.restoring.get(task_id);
    if (under_way) return under_way;
    const made = this.make_again(task_dir(this.workspace, task_id)).finally(() => this.restoring.delete(task_id));
    this.restoring.set(task_id, made);
    return made;
  }

  private async make_again(dir: string): Promise<Task> {
    // There already: an earlier try made it, and could not load it.
    await mkdir(dir, { mode: 0o700 }).catch((error) => {
      if (!is_errno(error, "EEXIST")) throw error;
    });
    return this.load_task(dir);
  }

  /** Makes a task. Durable when it resolves; `timeout` when the workspace's file system does not answer (the task may still come to be). */
  create_task(description: string, now = new Date(), extra: Record<string, unknown> = {}): Promise<Task> {
    return this.patiently(this.making.in_turn(() => this.make_task(description, now, extra)));
  }

  private patiently(task: Promise<Task>): Promise<Task> {
    return within(task, () => no_answer(this.workspace, "nothing was started; the task is made when it does"));
  }

  private async make_task(description: string, now: Date, extra: Record<string, unknown>): Promise<Task> {
    return this.take_in(await make_task(this.workspace, { description, now, extra }, this.warn));
  }

  /** The task that takes agents deployed without one; made once, also when several ask at the same time. */
  default_task(): Promise<Task> {
    const existing = [...this.tasks.values()].find((task) => task.store.data.default_task === true);
    if (existing) return Promise.resolve(existing);
    this.making_default ??= this.making
      .in_turn(() => this.make_task("agents deployed without a task", new Date(), { default_task: true }))
      .finally(() => {
        this.making_default = null;
      });
    return this.patiently(this.making_default);
  }

  task(task_id: string): Task {
    const task = this.tasks.get(task_id);
    if (!task) throw new SupervisorError("task_not_found", `no task ${task_id}; 'supervisor task ls' shows them`);
    return task;
  }
}
