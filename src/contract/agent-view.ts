/** An agent as the daemon shows it. */
import { z } from "zod";
import { agent_record } from "./agent.ts";
import { host_state } from "./host-state.ts";
import type { Kept } from "./kept.ts";

/** An agent as it is shown: its record, and how the daemon stands with its host, with the reason when that is bad. */
export const agent_view = agent_record.extend({
  host_state,
  host_state_reason: z.string(),
  /** While it waits: how many start before it, and itself; else null. */
  queue_position: z.int().nullable().default(null),
  /** Why it waits. */
  queue_reason: z.string().default(""),
});
export type AgentView = Kept<z.infer<typeof agent_view>>;
