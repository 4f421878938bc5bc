/** Limits against spirals: how many agents there may be, how many at once, how deep they may deploy each other, and what must be free to begin one. */
import { z } from "zod";
import { config_size } from "./config-size.ts";

const count = z.int().min(1).max(1_000_000);
const depth = z.int().min(1).max(1_000);
const floor = config_size(z.int().min(0).max(Number.MAX_SAFE_INTEGER));

/** What a task may set for itself, `task create --max-agents` and so on. Kept in its registry; other programs' registries may have the same fields. */
export const task_limits = z.object({
  max_agents: count
    .optional()
    .describe("at most so many living agents, queued ones included (default: the config's, 45)"),
  max_concurrent: count
    .optional()
    .describe("at most so many agents at once; more are queued (default: the config's, 20)"),
  max_depth: depth.optional().describe("how deep agents may deploy agents; 1 = no children (default: the config's, 5)"),
});

/** Bounds on agents. Depth 1 is an agent that no agent deployed. */
export interface Bounds {
  max_agents: number;
  max_concurrent: number;
  max_depth: number;
}

/**
 * The config's `limits`. Per task they are those of the seed's successor. For the supervisor they are a ceiling against runaways, not advice: what a
 * machine takes depends on its agents. The floors are what a host and an agent's first files need, with some room for those that run.
 */
export const agent_limits = z.strictObject({
  max_agents: count
    .default(1_000)
    .describe("living agents of the whole supervisor, queued ones included; more are refused"),
  max_concurrent: count.default(400).describe("agents of the whole supervisor that run at once; more are queued"),
  max_depth: depth
    .default(5)
    .describe("how deep agents may deploy agents, in any task; an agent that no agent deployed has depth 1"),
  per_task: z
    .strictObject({
      max_agents: count.default(45).describe("living agents of a task, queued ones included; more are refused"),
      max_concurrent: count.default(20).describe("agents of a task that run at once; more are queued"),
      max_depth: depth.default(5).describe("how deep agents of a task may deploy agents"),
    })
    .prefault({})
    .describe(
      "for each task, where `task create` set nothing else; of the common task only agents that agents deployed are counted",
    ),
  min_free_disk: floor
    .default(100 * 1024 * 1024)
    .describe("bytes that must be free in the workspace's file system to begin an agent; 0 = no such floor"),
  min_free_memory: floor
    .default(100 * 1024 * 1024)
    .describe("bytes of memory that must be available on the machine to begin an agent; 0 = no such floor"),
});
export type AgentLimits = z.infer<typeof agent_limits>;
