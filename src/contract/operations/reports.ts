/** What agents say of themselves. */
import { z } from "zod";
import { agent_params, define, none } from "./define.ts";

export const reports_operations = {
  progress: define({
    method: "POST",
    path: "/v1/agents/:agent/progress",
    description: "An agent reports how far it is.",
    params: agent_params,
    query: none,
    body: z.strictObject({
      status: z.string().min(1).max(50),
      message: z.string().max(100_000),
      progress: z.number().min(0).max(100).optional(),
    }),
    response: z.object({ success: z.literal(true) }),
  }),
  finding: define({
    method: "POST",
    path: "/v1/agents/:agent/findings",
    description: "An agent reports what it found.",
    params: agent_params,
    query: none,
    body: z.strictObject({
      finding_type: z.string().min(1).max(100),
      severity: z.string().min(1).max(50),
      message: z.string().max(1_000_000),
      data: z.record(z.string(), z.unknown()).default({}),
    }),
    response: z.object({ success: z.literal(true) }),
  }),
} as const;
