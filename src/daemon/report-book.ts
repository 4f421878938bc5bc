/**
 * What a task's agents reported last, in memory: for the coordination every report is answered with. Read from the files once per
 * task and life of the daemon, then kept up by the handlers. The files stay what counts.
 */
import type { CoordinationInfo, FindingReport, ProgressReport } from "../contract/operations/reports.ts";
import { is_ended } from "../contract/status.ts";
import { count_agents } from "./registry/count-agents.ts";
import type { Task } from "./registry/task.ts";

/** How many reports of other agents an answer carries. */
const PEERS = 3;
/** How many reports a task's status shows. */
const RECENT = 10;
/** An answer is read by a model, and paid for: a long message is cut. In characters. */
const MESSAGE_LIMIT = 500;

type BriefFinding = CoordinationInfo["recent_findings"][number];

/** The latest reports of one kind, newest first. */
class Latest<T extends { timestamp: string; agent_id: string; message: string }> {
  total = 0;
  recent: T[] = [];
  /**
   * At most three of each agent, six in all. That is enough for the latest three of all agents but any one: at most three of
   * the six are that one's.
   */
  private by_agent: T[] = [];

  add(report: T): void {
    this.total += 1;
    this.recent = [report, ...this.recent].slice(0, RECENT);
    const others = this.by_agent.filter((one) => one.agent_id !== report.agent_id);
    const own = this.by_agent.filter((one) => one.agent_id === report.agent_id).slice(0, PEERS - 1);
    const kept = new Set([...others, ...own]);
    this.by_agent = [report, ...this.by_agent.filter((one) => kept.has(one))].slice(0, 2 * PEERS);
  }

  of_peers(agent_id: string): T[] {
    return this.by_agent.filter((one) => one.agent_id !== agent_id).slice(0, PEERS);
  }
}

export class TaskBook {
  readonly progress = new Latest<ProgressReport>();
  readonly findings = new Latest<BriefFinding>();

  constructor(readonly task: Task) {}

  add_progress(report: ProgressReport): void {
    this.progress.add({ ...report, message: cut(report.message) });
  }

  add_finding({ data: _data, truncated: _truncated, ...report }: FindingReport): void {
    this.findings.add({ ...report, message: cut(report.message) });
  }

  /** What the others do, for the answer to a report of this agent. */
  coordination(agent_id: string): CoordinationInfo {
    const by_status = count_agents(this.task);
    const total_spawned = Object.values(by_status).reduce((sum, count) => sum + count, 0);
    const ended = Object.entries(by_status).filter(([status]) => is_ended(status));
    const active = total_spawned - ended.reduce((sum, [, count]) => sum + count, 0);
    return {
      success: true,
      task_id: this.task.task_id,
      agent_counts: { total_spawned, active, completed: by_status.completed ?? 0 },
      recent_progress: this.progress.of_peers(agent_id),
      recent_findings: this.findings.of_peers(agent_id),
    };
  }
}

export class ReportBook {
  private readonly books = new Map<string, Promise<TaskBook>>();

  /** For a task that is removed. */
  forget(task_id: string): void {
    this.books.delete(task_id);
  }

  /** The book of a task, filled by `read` the first time. Opened before a report is appended: what is appended later is added, and not read as well. */
  open(task: Task, read: (book: TaskBook) => Promise<void>): Promise<TaskBook> {
    const known = this.books.get(task.task_id);
    if (known) return known;
    const book = new TaskBook(task);
    const opened = read(book).then(
      () => book,
      (error) => {
        this.books.delete(task.task_id);
        throw error;
      },
    );
    this.books.set(task.task_id, opened);
    return opened;
  }
}

const cut = (message: string) =>
  message.length > MESSAGE_LIMIT
    ? `${message.slice(0, MESSAGE_LIMIT)}… [${message.length - MESSAGE_LIMIT} more]`
    : message;
