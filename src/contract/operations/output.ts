/** Operations on what agents print. */
import { z } from "zod";
import { agent_params, agent_tool, define, flag } from "./define.ts";

export const log_format = z.enum(["text", "jsonl", "parsed"]);
export type LogFormat = z.infer<typeof log_format>;
const filter = z.string().max(1000);
const lines = z.coerce.number().int().min(0).max(100_000);
const which_stream = z.enum(["log", "terminal"]).default("log");

export const log_query = z.strictObject({
  follow: flag,
  lines: lines.optional(),
  filter: filter.optional(),
  format: log_format.default("text"),
  stream: which_stream,
});
export type LogQuery = z.infer<typeof log_query>;

/**
 * How much of it: `full` = the newest lines that fit into max_bytes; `recent` = the last lines alone; `compact` = long lines and
 * blocks shortened; `summary` = counts, errors, the last words and the last result instead of lines.
 */
export const response_format = z.enum(["full", "recent", "compact", "summary"]);

/** What `recent` gives when nobody says how many lines. */
export const RECENT_LINES = 50;
/** What fits into an answer that nobody limits, and what may be asked for, in bytes of output. */
export const DEFAULT_OUTPUT_BYTES = 1024 * 1024;
export const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

export const output_query = z.strictObject({
  /** Only the last lines; with a filter, the last that match. */
  tail: lines.optional().describe("only the last lines; with a filter, the last that match"),
  filter: filter.optional().describe("only lines that match this regular expression (RE2 syntax)"),
  format: log_format
    .default("text")
    .describe("text as it is, jsonl, or parsed: the events of a coding agent as a person reads them"),
  response_format: response_format
    .default("full")
    .describe(
      "full: the newest lines that fit; recent: the last 50; compact: long lines shortened; summary: counts, errors and the last result",
    ),
  max_bytes: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST_OUTPUT_BYTES)
    .default(DEFAULT_OUTPUT_BYTES)
    .describe("how long the output may be; the newest lines are kept"),
  stream: which_stream,
});
export type OutputQuery = z.infer<typeof output_query>;

/** What a log says at a glance. Made of its last 32 MB; `complete` tells whether that was all. */
export const output_summary = z.object({
  complete: z.boolean(),
  lines: z.int(),
  /** How many of each kind: system, user, assistant, thinking, tool, tool_result, result, error, text, other, partial. */
  counts: z.record(z.string(), z.int()),
  tools: z.record(z.string(), z.int()),
  /** The last ten, oldest first, shortened. */
  errors: z.array(z.string()),
  last_assistant: z.string().nullable(),
  last_result: z.string().nullable(),
  /** The session that the agent's program says it has: what `deploy --resume` takes. */
  session: z.string().nullable(),
});
export type OutputSummary = z.infer<typeof output_summary>;

export const output_answer = z.object({
  success: z.literal(true),
  agent_id: z.string(),
  status: z.string(),
  format: log_format,
  response_format,
  /** Oldest first, without newlines at their ends. Empty in a summary. */
  lines: z.array(z.string()),
  line_count: z.int(),
  /** Lines were left out, or one was cut, because of max_bytes. */
  truncated: z.boolean(),
  /** The log has more before the lines given; with a filter, lines that match may be among it. */
  earlier: z.boolean(),
  summary: output_summary.nullable(),
  metadata: z.object({
    /** Where it was read: in its place, in the archive, or in trash, waiting for a holder. */
    source: z.enum(["log", "archive", "trash"]),
    /** Of the whole log, uncompressed. */
    total_bytes: z.int(),
    /** Null for a log of more than 16 MB. */
    total_lines: z.int().nullable(),
    /** As the agent's own events say, where they have a timestamp. */
    first_timestamp: z.string().nullable(),
    last_timestamp: z.string().nullable(),
    /** When the file was last written. */
    modified_at: z.string(),
  }),
});
export type OutputAnswer = z.infer<typeof output_answer>;

export const output_operations = {
  logs: define({
    method: "GET",
    path: "/v1/agents/:agent/logs",
    description: "The agent's log: bytes as they are, or lines in the format asked for.",
    params: agent_params,
    query: log_query,
    body: z.unknown(),
    response: z.unknown(),
    stream: true,
  }),
  get_output: define({
    method: "GET",
    path: "/v1/agents/:agent/output",
    description: "The agent's output as one document: its newest lines within limits, or a summary.",
    params: agent_params,
    query: output_query,
    body: z.unknown(),
    response: output_answer,
    mcp: agent_tool({
      tool: "get_agent_output",
      description:
        "Read what an agent printed: while it runs, and afterwards as long as its log was not deleted. `tail` gives the last lines, `filter` those that match a regular expression (RE2 syntax), `format` text as it is, jsonl, or parsed (the events of a coding agent as a person reads them). `response_format` summary answers counts, errors, the last words and the last result instead: ask for that first when an agent has printed much. Answers {success, agent_id, session_status, status, output, source, tmux_session, truncated, earlier, summary, metadata}; what is beyond max_bytes is left out at the front.",
      defaults: { max_bytes: 64 * 1024 },
      hide: ["stream"],
      also: {
        include_metadata: z.boolean().default(true).describe("changes nothing: the metadata are always there"),
        aggressive_truncate: z.boolean().default(false).describe("the same as response_format compact"),
      },
      hints: { read_only: true },
    }),
  }),
} as const;
