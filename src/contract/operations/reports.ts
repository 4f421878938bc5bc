/** What agents say of themselves, and what they said. */
import { z } from "zod";
import { agent_params, agent_tool, define, none } from "./define.ts";

/** How deep `data` may be nested. What goes deeper is a mistake, and would overflow the stack of whoever prints it. */
export const DATA_DEPTH = 32;
/** The longest message, in characters, and the longest `data`, in characters of JSON. */
export const REPORT_LIMIT = 1_000_000;

/** True when a JSON value has at most `limit` levels. Without recursion: what it measures may be 100,000 deep. */
export function is_shallow(value: unknown, limit: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return false;
    level = level.flatMap((one) => (one !== null && typeof one === "object" ? Object.values(one) : []));
  }
  return true;
}

/** Who sends the report, when the sender says so: then it must be the agent itself. */
const reporter = z
  .string()
  .max(100)
  .optional()
  .describe("the agent that sends this, if an agent does: an agent reports for itself alone");

export const progress_report = z.object({
  timestamp: z.string(),
  agent_id: z.string(),
  status: z.string(),
  message: z.string(),
  progress: z.number(),
});
export type ProgressReport = z.infer<typeof progress_report>;

export const finding_report = z.object({
  timestamp: z.string(),
  agent_id: z.string(),
  finding_type: z.string(),
  severity: z.string(),
  message: z.string(),
  data: z.record(z.string(), z.unknown()),
  /** Set where the answer would have been too long: `message` was cut and `data` left out. The findings file has all of it. */
  truncated: z.literal(true).optional(),
});
export type FindingReport = z.infer<typeof finding_report>;

/** What the others of the task do: so that agents work with each other's results and not on each other's work. */
export const coordination_info = z.object({
  success: z.literal(true),
  task_id: z.string(),
  agent_counts: z.object({ total_spawned: z.int(), active: z.int(), completed: z.int() }),
  /** The latest three of other agents, the newest first; long messages are cut. */
  recent_progress: z.array(progress_report),
  /** As above. `data` is left out: get_task_findings has it. */
  recent_findings: z.array(finding_report.omit({ data: true, truncated: true })),
});
export type CoordinationInfo = z.infer<typeof coordination_info>;

export const reports_operations = {
  progress: define({
    method: "POST",
    path: "/v1/agents/:agent/progress",
    description: "An agent reports how far it is. The status 'completed' or 'failed' begins its end.",
    params: agent_params,
    query: none,
    body: z.strictObject({
      status: z
        .string()
        .min(1)
        .max(50)
        .describe("working, blocked, completed, failed, or another word; completed and failed end the agent"),
      message: z.string().max(REPORT_LIMIT).describe("what it is doing, in a sentence"),
      progress: z.number().min(0).max(100).optional().describe("percent done, 0 to 100"),
      reporter,
    }),
    response: z.object({
      success: z.literal(true),
      own_update: progress_report,
      coordination_info,
      /** What the sender may not have meant: a word that looks like an end and is none. */
      note: z.string().optional(),
    }),
    mcp: agent_tool({
      tool: "update_agent_progress",
      description:
        "Report how far an agent is: at the start of its work, every few minutes, and at its end. The status 'completed' or 'failed' ends the agent: its processes are stopped and its files archived. Answers with the report as it was stored, and with coordination_info: the task's agent counts and the latest three progress reports and findings of the other agents.",
      self: "agent",
      hide: ["reporter"],
      hints: {},
    }),
  }),
  finding: define({
    method: "POST",
    path: "/v1/agents/:agent/findings",
    description: "An agent reports what it found.",
    params: agent_params,
    query: none,
    body: z.strictObject({
      finding_type: z.string().min(1).max(100).describe("issue, solution, insight, recommendation, or another word"),
      severity: z.string().min(1).max(50).describe("low, medium, high or critical"),
      message: z.string().max(REPORT_LIMIT).describe("what was found"),
      data: z
        .record(z.string(), z.unknown())
        .refine((data) => is_shallow(data, DATA_DEPTH), `is nested deeper than ${DATA_DEPTH} levels`)
        .refine(
          (data) => !is_shallow(data, DATA_DEPTH) || JSON.stringify(data).length <= REPORT_LIMIT,
          `is longer than ${REPORT_LIMIT} characters of JSON; put it into a file and report its path`,
        )
        .default({})
        .describe("anything more, as a JSON object"),
      reporter,
    }),
    response: z.object({ success: z.literal(true), own_finding: finding_report, coordination_info }),
    mcp: agent_tool({
      tool: "report_agent_finding",
      description:
        "Report something an agent found that the others or the person in charge should know. Answers with the finding as it was stored, and with coordination_info: the task's agent counts and the latest three progress reports and findings of the other agents. get_task_findings reads all findings of a task.",
      self: "agent",
      hide: ["reporter"],
      hints: {},
    }),
  }),
  findings: define({
    method: "GET",
    path: "/v1/tasks/:task/findings",
    description: "What a task's agents found, the newest first.",
    params: z.strictObject({ task: z.string().min(1).max(100).describe("the task") }),
    query: z.strictObject({
      agent: z.string().min(1).max(100).optional().describe("only findings of this agent"),
      finding_type: z.string().min(1).max(100).optional().describe("only findings of this type"),
      severity: z.string().min(1).max(50).optional().describe("only findings of this severity"),
      since: z.iso
        .datetime({ offset: true, local: true })
        .optional()
        .describe("only findings after this time (ISO 8601, for example the timestamp of the last one seen)"),
      limit: z.coerce.number().int().min(1).max(1000).default(50).describe("at most so many, the newest"),
      max_bytes: z.coerce
        .number()
        .int()
        .min(1000)
        .max(64 * 1024 * 1024)
        .default(256 * 1024)
        .describe("how long the answer may be; the findings beyond are cut, and say so"),
    }),
    body: z.unknown(),
    response: z.object({
      success: z.literal(true),
      task_id: z.string(),
      findings: z.array(finding_report),
      /** How many fit the filters, of which `findings` has the newest. */
      total: z.int(),
      /** Lines that are not whole reports (a crash of the machine can leave one); they are skipped. */
      unreadable: z.int(),
    }),
    mcp: {
      tool: "get_task_findings",
      description:
        "Read what the agents of a task found, the newest first, also those of agents that ended and were archived. Filter by agent, type, severity and time. Answers {success, task_id, findings, total}; long findings are cut beyond max_bytes and marked truncated.",
      rename: { task: "task_id", agent: "agent_id" },
      hints: { read_only: true },
    },
  }),
} as const;
