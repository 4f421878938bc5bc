/** How large an agent's logs may grow, and what happens then. */
import { z } from "zod";
import { MIN_LOG_MAX_BYTES } from "./segments.ts";

/**
 * `rotate`: at a line's end the full part gets a number in its name, and a new one begins under the log's own name; nothing is dropped.
 * `pause`: the agent waits (its writes block) until the limit is raised; what it prints while it is being ended is logged all the same.
 */
export const log_full = z.enum(["rotate", "pause"]);

export const log_max_bytes = z.int().min(MIN_LOG_MAX_BYTES);

/** For each of the agent's logs by itself. `max_bytes` null = no limit. */
export const log_limit = z.object({ max_bytes: log_max_bytes.nullable(), full: log_full });
export type LogLimit = z.infer<typeof log_limit>;
export const NO_LOG_LIMIT: LogLimit = { max_bytes: null, full: "rotate" };
