/** What every operation is made of. */
import { z } from "zod";

/** A flag in a query: `true` or `false`. */
export const flag = z.stringbool().default(false);
/** AGENT in a path: an id, or an unambiguous prefix of one. */
export const agent_params = z.strictObject({ agent: z.string().min(1).max(100) });
export const none = z.strictObject({});

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
}) => operation;
