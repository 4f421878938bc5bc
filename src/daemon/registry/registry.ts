/** What the supervisor remembers: tasks (`task-book`) and their agents. The only writer of the registry files. */
import type { AgentRecord } from "../../contract/agent.ts";
import { SupervisorError, trouble } from "../../contract/errors.ts";
import { agent_status, is_ended, type LifecycleEvent, next_status } from "../../contract/status.ts";
import { Departures } from "./departures.ts";
import { has_ended, is_taken, look_up } from "./look-up.ts";
import { Notes } from "./notes.ts";
import type { Task } from "./task.ts";
import { TaskBook } from "./task-book.ts";
import { Unwritten } from "./unwritten.ts";

export class Registry extends TaskBook {
  private readonly unwritten = new Unwritten();
  private readonly notes: Notes;
  private readonly departures = new Departures();
  private frozen = false;

  /** `on_failed_note` is told when a write that nobody waits for failed. */
  constructor(workspace: string, on_failed_note: (error: unknown) => void = () => undefined) {
    super(workspace);
    this.notes = new Notes(on_failed_note);
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
  async depart(task: Task, leaving: readonly AgentRecord[]): Promise<void> {
    if (!this.frozen) await this.departures.depart(task, leaving);
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
   * It is on disk within a quarter of a second (`notes`), together with all that came meanwhile, or with the next durable change.
   */
  note(agent: AgentRecord, change: Partial<Pick<AgentRecord, "progress" | "message">>): void {
    Object.assign(agent, change, { last_update: new Date().toISOString() });
    this.notes.note(this.task_of(agent).store);
  }

  /** Writes what was only noted or may not be as it should, and waits for agents that are leaving. For the end of the daemon. */
  async settle(): Promise<void> {
    await this.departures.settled();
    await this.notes.settle([...this.tasks.values()].map(({ store }) => store).filter((store) => store.is_unsure));
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
