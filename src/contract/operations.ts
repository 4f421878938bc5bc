/**
 * The one table of operations: name, method, path, schemas, description. Server routes, the typed client and the API page of the
 * docs derive from it. Requests are strict: a misspelled field is refused, not ignored.
 */
import type { z } from "zod";
import { agents_operations } from "./operations/agents.ts";
import type { define } from "./operations/define.ts";
import { deploy_operations } from "./operations/deploy.ts";
import { kill_operations } from "./operations/kill.ts";
import { output_operations } from "./operations/output.ts";
import { profiles_operations } from "./operations/profiles.ts";
import { reports_operations } from "./operations/reports.ts";
import { supervisor_operations } from "./operations/supervisor.ts";
import { tasks_operations } from "./operations/tasks.ts";

export const OPERATIONS = {
  ...supervisor_operations,
  ...deploy_operations,
  ...agents_operations,
  ...kill_operations,
  ...output_operations,
  ...profiles_operations,
  ...reports_operations,
  ...tasks_operations,
} as const;

/** Any operation. */
export type Operation = ReturnType<typeof define<z.ZodType, z.ZodType, z.ZodType, z.ZodType>>;
export type OperationName = keyof typeof OPERATIONS;
type Operations = typeof OPERATIONS;
/** What a handler gets: everything parsed, defaults filled in. */
export interface ParsedRequest<N extends OperationName> {
  params: z.output<Operations[N]["params"]>;
  query: z.output<Operations[N]["query"]>;
  body: z.output<Operations[N]["body"]>;
}
export type Answer<N extends OperationName> = z.output<Operations[N]["response"]>;
/** What a client sends. */
export interface CallRequest<N extends OperationName> {
  params?: z.input<Operations[N]["params"]>;
  query?: Record<string, string | number | boolean | undefined>;
  body?: z.input<Operations[N]["body"]>;
}
