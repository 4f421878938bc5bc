/** What every operation is made of. */
import { z } from "zod";

/** A flag in a query: `true` or `false`. */
export const flag = z.stringbool().default(false);
/** AGENT in a path: an id, or an unambiguous prefix of one. */
export const agent_params = z.strictObject({ agent: z.string().min(1).max(100).describe("the agent's id") });
export const none = z.strictObject({});
/** An hour; a longer grace is a mistake. In ms. */
export const grace_ms = z.int().min(0).max(3_600_000);

/**
 * An operation as a tool for agents (MCP). Its arguments are the operation's params, query and body in one object; this says
 * only what differs. The tools themselves are made in src/mcp.
 */
export interface McpTool {
  tool: string;
  /** For the model that chooses: when to use the tool, and what comes back. */
  description: string;
  /** Names of the operation that are other arguments of the tool: `{agent: "agent_id"}`. */
  rename?: Readonly<Record<string, string>>;
  /** Optional fields that the tool needs, and needed ones that the tool can fill in. */
  needs?: readonly string[];
  fills?: readonly string[];
  /** Other defaults than the operation's: an answer that a model reads is better shorter. */
  defaults?: Readonly<Record<string, unknown>>;
  /** The field that is the caller itself, when the server was started by an agent and for it: it may then be left out. */
  self?: string;
  /** Fields of the operation that are no arguments: filled in by the tool, or not for agents. */
  hide?: readonly string[];
  /** Arguments besides: ones the tool fills other fields with, or that older prompts give and that change nothing. */
  also?: Readonly<Record<string, z.ZodType>>;
  /** What a client may assume: `read_only` changes nothing, `destructive` ends or removes something, `idempotent` twice is as once. */
  hints: { read_only?: boolean; destructive?: boolean; idempotent?: boolean };
}

/** A tool about one agent. It takes the agent's task too, as older prompts give it, and refuses an agent of another task. */
export const agent_tool = (tool: McpTool): McpTool => ({
  ...tool,
  rename: { agent: "agent_id", ...tool.rename },
  also: {
    task_id: z.string().max(100).optional().describe("the agent's task; refused when the agent belongs to another"),
    ...tool.also,
  },
});

/** One operation: its name is its key in the table. `stream` answers are bytes or NDJSON instead of one JSON document. */
export const define = <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(operation: {
  method: "GET" | "POST";
  path: string;
  description: string;
  params: P;
  query: Q;
  body: B;
  response: R;
  stream?: boolean;
  /** What a stream is made of, where it is not just bytes. */
  content_type?: string;
  mcp?: McpTool | readonly McpTool[];
}) => operation;
