/** Operations on what agents print. */
import { z } from "zod";
import { agent_params, define, flag } from "./define.ts";

export const log_format = z.enum(["text", "jsonl", "parsed"]);
export type LogFormat = z.infer<typeof log_format>;
export const log_query = z.strictObject({
  follow: flag,
  lines: z.coerce.number().int().min(0).max(100_000).optional(),
  filter: z.string().max(1000).optional(),
  format: log_format.default("text"),
  stream: z.enum(["log", "terminal"]).default("log"),
});
export type LogQuery = z.infer<typeof log_query>;

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
} as const;
