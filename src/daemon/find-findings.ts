/** The findings of a task, filtered, the newest first, and no longer than asked for. */
import type { z } from "zod";
import { type FindingReport, finding_report, type reports_operations } from "../contract/operations/reports.ts";
import type { Answer } from "../contract/operations.ts";
import type { Task } from "./registry/task.ts";
import { reports_of } from "./report-files.ts";
import { departed_with_files } from "./retention/departed.ts";
import type { Services } from "./services.ts";

type Query = z.output<(typeof reports_operations)["findings"]["query"]>;

/** What is left of the message of a finding that does not fit the answer. In characters. */
const CUT_MESSAGE = 500;

export async function find_findings(services: Services, task: Task, query: Query): Promise<Answer<"findings">> {
  const only = query.agent === undefined ? null : await services.registry.recall(query.agent);
  const since = query.since === undefined ? null : Date.parse(query.since);
  let newest: FindingReport[] = [];
  let total = 0;
  let unreadable = 0;
  for await (const agent of agents_of(services, task)) {
    if (only && agent.id !== only.id) continue;
    for await (const finding of reports_of(services, agent, "findings_file", finding_report, () => unreadable++)) {
      if (query.finding_type !== undefined && finding.finding_type !== query.finding_type) continue;
      if (query.severity !== undefined && finding.severity !== query.severity) continue;
      if (since !== null && Date.parse(finding.timestamp) <= since) continue;
      total += 1;
      newest.push(finding);
      // Bounded: no more than twice what is asked for is ever in memory.
      if (newest.length > 2 * query.limit) newest = newest_first(newest).slice(0, query.limit).reverse();
    }
  }
  const findings = shorten(newest_first(newest).slice(0, query.limit), query.max_bytes);
  return { success: true, task_id: task.task_id, findings, total, unreadable };
}

async function* agents_of(services: Services, task: Task) {
  yield* departed_with_files(services, task);
  yield* task.agents.values();
}

/** Of two with the same timestamp, the later one in the file comes first. */
const newest_first = (findings: FindingReport[]) =>
  [...findings].reverse().sort((a, b) => (a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : 0));

function shorten(findings: FindingReport[], max_bytes: number): FindingReport[] {
  let room = max_bytes;
  return findings.map((finding) => {
    const bytes = Buffer.byteLength(JSON.stringify(finding));
    const shown: FindingReport =
      bytes <= room
        ? finding
        : { ...finding, message: finding.message.slice(0, CUT_MESSAGE), data: {}, truncated: true };
    room -= Math.min(bytes, Buffer.byteLength(JSON.stringify(shown)));
    return shown;
  });
}
