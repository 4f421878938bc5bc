/** Opens the book of an agent's task: at the first time since the daemon started, what is in the task's files is read into it. */
import type { AgentRecord } from "../contract/agent.ts";
import {
  type FindingReport,
  finding_report,
  type ProgressReport,
  progress_report,
} from "../contract/operations/reports.ts";
import type { Task } from "./registry/task.ts";
import type { TaskBook } from "./report-book.ts";
import { reports_of } from "./report-files.ts";
import { departed_with_files } from "./retention/departed.ts";
import type { Services } from "./services.ts";

/** How many reports of an agent can be among the latest of its task that anybody is shown. */
const PER_AGENT = 10;

export function open_book(services: Services, task: Task): Promise<TaskBook> {
  return services.book.open(task, async (book) => {
    const progress: ProgressReport[] = [];
    const findings: FindingReport[] = [];
    const read_in = async (agent: AgentRecord) => {
      book.progress.total += await last_of(reports_of(services, agent, "progress_file", progress_report), progress);
      book.findings.total += await last_of(reports_of(services, agent, "findings_file", finding_report), findings);
    };
    for await (const agent of departed_with_files(services, task)) await read_in(agent);
    for (const agent of [...task.agents.values()]) await read_in(agent);
    for (const report of progress.sort(by_time)) book.add_progress(report);
    for (const report of findings.sort(by_time)) book.add_finding(report);
  });
}

/** Adds the last of an agent's reports to `kept`. Returns how many there were before those. */
async function last_of<T>(reports: AsyncIterable<T>, kept: T[]): Promise<number> {
  let last: T[] = [];
  let before = 0;
  for await (const report of reports) {
    last.push(report);
    if (last.length <= PER_AGENT) continue;
    last = last.slice(1);
    before += 1;
  }
  kept.push(...last);
  return before;
}

const by_time = (a: { timestamp: string }, b: { timestamp: string }) =>
  a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0;
