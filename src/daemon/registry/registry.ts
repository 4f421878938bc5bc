/** What the supervisor remembers: tasks and their agents. The only writer of the registry files. */
import { mkdir, readdir } from "node:fs/promises";
import type { AgentRecord } from "../../contract/agent.ts";
import { is_errno, message_of, SupervisorError, trouble } from "../../contract/errors.ts";
import { TASK_ID_PATTERN } from "../../contract/ids.ts";
import { task_dir } from "../../contract/paths.ts";
import { agent_status, is_ended, type LifecycleEvent, next_status } from "../../contract/status.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { Lane, no_answer, within } from "../patience.ts";
import { Ledger } from "./ledger.ts";
import { has_ended, is_taken, look_up } from "./look-up.ts";
import type { RegistryStore } from "./store.ts";
import { load_task, make_task, type Task } from "./task.ts";
import { Unwritten } from "./unwritten.ts";

/** How long reports are gathered before the registry is written, in ms: a write takes 5 to 20, and a person looks no oftener. */
const NOTES_MS = 250;

/** How many warnings are kept; whoever edits a running supervisor's registry in a loop must not fill its memory. */
const WARNINGS_KEPT = 100;

export class Registry {
  /** What counts on when its records are gone. */
  readonly ledger: Ledger;
  private readonly unwritten = new Unwritten();
  private readonly noted = new Map<RegistryStore, NodeJS.Timeout>();
  readonly tasks = new Map<string, Task>();
  /** Tasks whose registry was left alone, with the reason. Nothing of theirs may be written. */
  readonly left_alone = new Map<string, string>();
  /** Everything that a person should know; whoever sets `on_warning` hears of the later ones as they come. */
  readonly warnings: string[] = [];
  on_warning: (text: string) => void = () => {};
  /** Told how long each write of a registry took, in ms. */
  on_write: (ms: number, ok: boolean) => void = () => {};
  private frozen = false;
  /** Agents that are leaving, by departure; none of these rejects. */
  private readonly departures = new Set<Promise<void>>();
  private making_default: Promise<Task> | null = null;
  /** One at a time: a file system that does not answer holds one call of ours. */
  private readonly making = new Lane(1);
  /** Tasks that are being made again: several hosts of one task may ask at once. */
  private readonly restoring = new Map<string, Promise<Task>>();

  constructor(
    readonly workspace: string,
    /** Told when a write that nobody waits for failed. */
    private readonly on_failed_note: (error: unknown) => void = () => undefined,
  ) {
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

  agents(): AgentRecord[] {
    return [...this.tasks.values()].flatMap((task) => [...task.agents.values()]);
  }

  /**
   * The agent with this id, or the only one whose id begins so, as far as it is in the registry. `agent_not_running` for one that has ended and
   * left it: `recall` has those.
   */
  find(id_or_prefix: string): AgentRecord {
    const found = look_up(this.tasks.values(), id_or_prefix);
    if ("agent" in found) return found.agent;
    throw has_ended(found.left);
  }

  /** As `find`, and those that have ended and left the registry, read from their journal. Such a record is a copy: it cannot be changed. */
  async recall(id_or_prefix: string): Promise<AgentRecord> {
    const found = look_up(this.tasks.values(), id_or_prefix);
    if ("agent" in found) return found.agent;
    const record = await this.record_of(found.task, found.left.id);
    if (!record)
      throw new SupervisorError("agent_not_found", `the receipt of ${found.left.id} is not in its journal any more`);
    return record;
  }

  /** The record of an agent that has left, or null. */
  async record_of(task: Task, agent_id: string): Promise<AgentRecord | null> {
    const record = await task.journal.read(agent_id);
    return record && { ...record, task_id: task.task_id };
  }

  /** True when an agent that is known has this short id: sockets and control groups are named by it. */
  is_taken(short_id: string): boolean {
    return is_taken(this.tasks.values(), short_id);
  }

  /** False for an agent whose deploy was undone. */
  has(agent: AgentRecord): boolean {
    return [...this.tasks.values()].some((task) => task.agents.get(agent.id) === agent);
  }

  task_of(agent: AgentRecord): Task {
    for (const task of this.tasks.values()) if (task.agents.get(agent.id) === agent) return task;
    // It has left the registry.
    const task = is_ended(agent.status) ? this.tasks.get(String(agent.task_id)) : undefined;
    if (task?.journal.get(agent.id)) return task;
    throw new SupervisorError("internal", `${agent.id} belongs to no task`);
  }

  /** Adds an agent. Durable when it resolves. */
  async add(task: Task, agent: AgentRecord): Promise<void> {
    task.agents.set(agent.id, agent);
    task.store.data.agents.push(agent);
    await task.store.flush();
  }

  /** Forgets an agent whose deploy was undone. Durable when it resolves; when it rejects it may be asked for again. */
  async remove(task: Task, agent: AgentRecord): Promise<void> {
    task.agents.delete(agent.id);
    task.store.data.agents = task.store.data.agents.filter((one) => one !== agent);
    task.store.withdraw();
    await task.store.flush();
  }

  /**
   * Ended agents leave the registry for their task's journal. On the disk in one of the two at every moment; when it is in both after a crash,
   * the journal counts. Resolves when both are on the disk.
   */
  depart(task: Task, leaving: readonly AgentRecord[]): Promise<void> {
    const departure = this.move_out(task, leaving);
    const settled = departure
      .catch(() => undefined /* told to who asked */)
      .finally(() => this.departures.delete(settled));
    this.departures.add(settled);
    return departure;
  }

  private async move_out(task: Task, leaving: readonly AgentRecord[]): Promise<void> {
    const agents = leaving.filter((one) => task.agents.get(one.id) === one);
    if (agents.length === 0 || this.frozen) return;
    for (const agent of agents) agent.task_id = task.task_id;
    await task.journal.append(agents);
    crash_point("leave.journaled");
    const gone = new Set<unknown>(agents);
    for (const agent of agents) task.agents.delete(agent.id);
    task.store.data.agents = task.store.data.agents.filter((one) => !gone.has(one));
    await task.store.flush();
    crash_point("leave.recorded");
  }

  /** Forgets a task whose files are being removed. */
  forget_task(task: Task): void {
    task.store.close();
    this.tasks.delete(task.task_id);
  }

  /** From now on every change is refused (`daemon_stopping`): the workspace is about to be another daemon's. */
  freeze(): void {
    this.frozen = true;
    for (const { store } of this.tasks.values()) store.close();
  }

  /** Changes an agent. Durable when it resolves; when it rejects, the agent is as it was. Status changes go through `advance`. */
  update(agent: AgentRecord, change: Partial<Omit<AgentRecord, "status" | "id">>): Promise<void> {
    return this.change(agent, change);
  }

  /**
   * Changes an agent without waiting for the disk: for what many reports a second change, and what their own files hold as well.
   * It is on disk within `NOTES_MS`, together with all that came meanwhile, or with the next durable change.
   */
  note(agent: AgentRecord, change: Partial<Pick<AgentRecord, "progress" | "message">>): void {
    Object.assign(agent, change, { last_update: new Date().toISOString() });
    const { store } = this.task_of(agent);
    if (this.noted.has(store)) return;
    this.noted.set(
      store,
      setTimeout(() => this.write_notes(store), NOTES_MS),
    );
  }

  /** Writes what was only noted or may not be as it should, and waits for agents that are leaving. For the end of the daemon. */
  async settle(): Promise<void> {
    await Promise.all(this.departures);
    const unsure = [...this.tasks.values()].map(({ store }) => store).filter((store) => store.is_unsure);
    await Promise.all([...new Set([...this.noted.keys(), ...unsure])].map((store) => this.write_notes(store)));
  }

  private async write_notes(store: RegistryStore): Promise<void> {
    clearTimeout(this.noted.get(store));
    this.noted.delete(store);
    await store.flush().catch(this.on_failed_note);
  }

  /** Moves an agent along the lifecycle table, together with the data of the new status. Durable when it resolves. */
  async advance(
    agent: AgentRecord,
    event: LifecycleEvent,
    change: Partial<Omit<AgentRecord, "status" | "id">> = {},
  ): Promise<void> {
    const known = agent_status.safeParse(agent.status);
    const next = next_status(known.success ? known.data : "running", event);
    if (!next)
      throw new SupervisorError("internal", `${agent.id} is ${agent.status}: '${event.type}' cannot happen to it`);
    await this.change(agent, { ...change, status: next });
  }

  private async change(agent: AgentRecord, change: Partial<AgentRecord>): Promise<void> {
    if (this.frozen)
      throw new SupervisorError("daemon_stopping", "the supervisor is leaving; nothing is recorded any more");
    const { store } = this.task_of(agent);
    const made = this.unwritten.make(agent, { ...change, last_update: new Date().toISOString() });
    try {
      await store.flush();
      this.unwritten.is_written(made);
    } catch (error) {
      this.unwritten.take_back(made);
      store.withdraw();
      if (error instanceof SupervisorError) throw error;
      throw new SupervisorError("registry_unwritable", `${store.path} could not be written: ${trouble(error)}`, {
        cause: error,
      });
    }
  }
}
