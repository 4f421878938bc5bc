/** Whether there is room for one more agent. Pure: limits, agents and the place of the newcomer come in as arguments. */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { type AgentLimits, type Bounds, task_limits } from "../../contract/agent-limits.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { is_ended } from "../../contract/status.ts";

/** Somewhere agents are counted: the supervisor, or a task. */
export interface Scope {
  name: string;
  /** How one of its limits is raised. */
  raise: (limit: keyof Bounds) => string;
  bounds: Bounds;
  agents: readonly AgentRecord[];
}

/** As much of a task as is needed here. */
export interface CountedTask {
  task_id: string;
  store: { data: Record<string, unknown> };
  agents: ReadonlyMap<string, AgentRecord>;
}

/** What holds for a task: its own limits, where they are usable (another program may have written them), else the config's. */
export function bounds_of(task: Pick<CountedTask, "store">, { per_task }: AgentLimits): Bounds {
  const own = Object.fromEntries(
    Object.entries(task_limits.shape).flatMap(([name, schema]) => {
      const parsed = schema.safeParse(task.store.data[name]);
      return parsed.success && parsed.data !== undefined ? [[name, parsed.data]] : [];
    }),
  );
  return { ...per_task, ...own };
}

/**
 * Where an agent of this depth counts. The common task is nobody's swarm: of it only agents that agents deployed are counted and
 * limited; what people deploy there has the supervisor's limits alone.
 */
export function scopes_of(
  limits: AgentLimits,
  tasks: Iterable<CountedTask>,
  task: CountedTask,
  depth: number,
): [Scope, ...Scope[]] {
  const everybody = [...tasks].flatMap((one) => [...one.agents.values()]);
  const whole = {
    name: "the supervisor",
    raise: (limit: keyof Bounds) => `limits.${limit} in the config`,
    bounds: limits,
    agents: everybody,
  };
  const common = task.store.data.default_task === true;
  if (common && depth === 1) return [whole];
  const agents = [...task.agents.values()].filter((agent) => !common || agent.depth > 1);
  const raise = (limit: keyof Bounds) =>
    `task create --${limit.replace("_", "-")}, or limits.per_task.${limit} in the config`;
  return [whole, { name: task.task_id, raise, bounds: bounds_of(task, limits), agents }];
}

const lives = (agent: AgentRecord) => !is_foreign(agent) && !is_ended(agent.status);
/** An agent whose end is not complete still counts: it may be there. */
const runs = (agent: AgentRecord) => lives(agent) && agent.status !== "queued";

function refuse(scope: Scope, limit: keyof Bounds, text: string): never {
  const bound = `${limit} of ${scope.name} is ${scope.bounds[limit]}`;
  throw new SupervisorError("limit_reached", `${bound}: ${text} (${scope.raise(limit)})`);
}

/** Throws `limit_reached` when the agent may neither run nor wait. */
export function require_place(scopes: readonly Scope[], depth: number, parent: string | null): void {
  for (const scope of scopes) {
    if (depth > scope.bounds.max_depth)
      refuse(
        scope,
        "max_depth",
        `a child of ${parent} would have depth ${depth}; let ${parent} do the work itself, or raise the limit`,
      );
    const living = scope.agents.filter(lives).length;
    if (living >= scope.bounds.max_agents)
      refuse(scope, "max_agents", `${living} live or wait already; wait for one to end, end one, or raise the limit`);
  }
}

/** The first scope that has as many running agents as it may, or null. */
export const crowded = (scopes: readonly Scope[]): Scope | null =>
  scopes.find((scope) => scope.agents.filter(runs).length >= scope.bounds.max_concurrent) ?? null;

/** Why an agent waits, in words. */
export const crowd_text = (scope: Scope) =>
  `max_concurrent of ${scope.name} is ${scope.bounds.max_concurrent}, and so many run`;

/** Throws `limit_reached` for an agent that would have to wait and does not want to. */
export function refuse_to_wait(scope: Scope): never {
  return refuse(scope, "max_concurrent", "so many run, and it did not want to wait; try later, or raise the limit");
}
