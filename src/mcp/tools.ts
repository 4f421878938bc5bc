/** The tools, made from the operations that have a name for agents: their arguments, schemas and hints. */
import { z } from "zod";
import { flag, type McpTool } from "../contract/operations/define.ts";
import { OPERATIONS, type OperationName } from "../contract/operations.ts";

type Part = "params" | "query" | "body";

export interface Tool {
  name: string;
  operation: OperationName;
  description: string;
  hints: McpTool["hints"];
  /** What the tool takes. Strict: a name that is not in it is refused. */
  input: z.ZodObject;
  /** Where an argument goes in the operation's request. Arguments without a place are the tool's own. */
  places: Map<string, { part: Part; field: string }>;
}

/** All tools by name. `self` is the agent that this server speaks for, if it was started for one. */
export function make_tools(self: string | undefined): Map<string, Tool> {
  const tools = new Map<string, Tool>();
  for (const operation of Object.keys(OPERATIONS) as OperationName[]) {
    const { mcp } = OPERATIONS[operation] as { mcp?: McpTool | readonly McpTool[] };
    for (const one of mcp === undefined ? [] : ([mcp].flat() as McpTool[]))
      tools.set(one.tool, make_tool(operation, one, self));
  }
  return tools;
}

function make_tool(operation: OperationName, mcp: McpTool, self: string | undefined): Tool {
  const shape: Record<string, z.ZodType> = { ...mcp.also };
  const places: Tool["places"] = new Map();
  for (const part of ["params", "query", "body"] as const) {
    const schema: z.ZodType = OPERATIONS[operation][part];
    if (!(schema instanceof z.ZodObject)) continue;
    for (const [field, of_field] of Object.entries(schema.shape as Record<string, z.ZodType>)) {
      if (mcp.hide?.includes(field)) continue;
      const name = mcp.rename?.[field] ?? field;
      shape[name] = argument(of_field, field, mcp, self);
      places.set(name, { part, field });
    }
  }
  const { tool: name, description, hints } = mcp;
  return { name, operation, description, hints, input: z.strictObject(shape), places };
}

/** A field as an argument: needed, or filled in by the tool, or the caller itself. */
function argument(of_field: z.ZodType, field: string, mcp: McpTool, self: string | undefined): z.ZodType {
  const described = (schema: z.ZodType) => (of_field.description ? schema.describe(of_field.description) : schema);
  // In a query a flag is a word; an argument is JSON.
  if (of_field === flag) return described(z.boolean().default(false));
  if (mcp.self === field && self !== undefined) return described(bare(of_field).default(self));
  if (mcp.defaults && field in mcp.defaults) return described(bare(of_field).default(mcp.defaults[field]));
  if (mcp.needs?.includes(field)) return described(bare(of_field));
  if (mcp.fills?.includes(field)) return described(bare(of_field).optional());
  return of_field;
}

function bare(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) return bare(schema.unwrap() as z.ZodType);
  return schema;
}

/** A tool as `tools/list` shows it. */
export function tool_listing({ name, description, hints, input }: Tool) {
  return {
    name,
    description,
    inputSchema: z.toJSONSchema(input, { io: "input", unrepresentable: "any" }) as { type: "object" },
    annotations: {
      readOnlyHint: hints.read_only ?? false,
      destructiveHint: hints.destructive ?? false,
      idempotentHint: hints.idempotent ?? hints.read_only ?? false,
      openWorldHint: false,
    },
  };
}
