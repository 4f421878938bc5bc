/** The registry's entry of an agent that is to be. */
import { randomBytes } from "node:crypto";
import { type AgentRecord, agent_record } from "../../contract/agent.ts";
import type { Limits } from "../../contract/containment.ts";
import { new_agent_id, session_name, short_agent_id } from "../../contract/ids.ts";
import type { DeployRequest } from "../../contract/operations/deploy.ts";
import { tracked_files_of } from "../../contract/paths.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";

/** The prompt as the registry shows it; the whole of it is in the prompt file. */
const PROMPT_EXCERPT = 200;

/** An entry, in nobody's registry yet, with an id that nobody has. */
export function new_agent(
  services: Services,
  task: Task,
  request: DeployPlan,
  parent: AgentRecord | null,
): AgentRecord {
  const now = new Date(services.clock.wall_ms());
  const prompt = request.prompt ?? "";
  let id = new_agent_id(request.type, now);
  const is_taken = (short: string) => services.registry.is_taken(short) || services.spares.owns(short);
  while (is_taken(short_agent_id(id))) id = new_agent_id(request.type, now);
  return agent_record.parse({
    id,
    type: request.type,
    tmux_session: session_name(id),
    parent: parent?.id ?? "orchestrator",
    depth: (parent?.depth ?? 0) + 1,
    status: "deploying",
    started_at: now.toISOString(),
    last_update: now.toISOString(),
    prompt: excerpt(prompt),
    tracked_files: tracked_files_of(task.dir, id, request.stdout === "pipe", request.mcp),
    command: request.command,
    profile: request.profile ?? null,
    cwd: request.cwd,
    mode: request.mode,
    stdout: request.stdout,
    grace_ms: request.grace_ms,
    cleanup: request.cleanup,
    cookie: randomBytes(16).toString("hex"),
    limits: limits_of(request),
    log_limit: request.log_limit,
    task_id: task.task_id,
  });
}

/** Limits as the registry has them. */
export const limits_of = ({ memory_max, pids_max, cpu_max }: DeployRequest): Limits => ({
  memory_max: memory_max ?? null,
  pids_max: pids_max ?? null,
  cpu_max: cpu_max ?? null,
});

/** Cut in the middle of a character, or given half of one, text is not JSON for every reader: Buffer mends it. */
function excerpt(prompt: string): string {
  const text = prompt.length > PROMPT_EXCERPT ? `${prompt.slice(0, PROMPT_EXCERPT)}...` : prompt;
  return Buffer.from(text).toString();
}
