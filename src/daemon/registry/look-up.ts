/** Finds an agent by its id, or the beginning of it, in registries and journals alike. */
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { is_ended } from "../../contract/status.ts";
import type { Journal } from "./journal.ts";
import type { Entry } from "./journal-lines.ts";

/** Where agents are: a task. */
interface Place {
  agents: ReadonlyMap<string, AgentRecord>;
  journal: Journal;
}

/** In the registry, or where it has left to. */
export type Found<T> = { agent: AgentRecord } | { task: T; left: Entry };

/** What whoever asks something of an agent that is over is told. */
export function has_ended({ id, status }: { id: string; status: string }): SupervisorError {
  return new SupervisorError("agent_not_running", `${id} has ended (${status}); 'supervisor status ${id}' shows how`);
}

/**
 * The agent with this id, or the only one whose id begins so, or whose type it is; of several of that type the only one that lives. Throws `agent_not_found` or
 * `ambiguous_agent`.
 */
export function look_up<T extends Place>(tasks: Iterable<T>, id_or_prefix: string): Found<T> {
  const places = [...tasks];
  // A whole id first, in all tasks: programs type nothing else, and only a beginning is worth a look at everybody who ever left.
  for (const task of places) {
    const agent = task.agents.get(id_or_prefix);
    if (agent) return { agent };
    const left = task.journal.get(id_or_prefix);
    if (left) return { task, left };
  }
  const fits: ({ id: string } & Found<T>)[] = [];
  for (const task of places) {
    for (const one of task.agents.values()) if (one.id.startsWith(id_or_prefix)) fits.push({ id: one.id, agent: one });
    for (const one of task.journal.entries())
      if (one.id.startsWith(id_or_prefix)) fits.push({ id: one.id, task, left: one });
  }
  const [only] = fits;
  if (only && fits.length === 1) return only;
  // The whole type counts more than the beginning of another: `claude` is not `claude-review-…`.
  const exact = fits.filter((one) => type_of(one.id) === id_or_prefix);
  // Records of ended agents are kept for days: whoever runs one `claude` after the other means the one that runs. A part of an id was read off somewhere, maybe of one that ended.
  const [meant, ...others] = exact.length === 1 ? exact : exact.filter(lives);
  if (meant && others.length === 0) return meant;
  if (!only) throw new SupervisorError("agent_not_found", `no agent ${id_or_prefix}; 'supervisor ps --all' shows them`);
  // Whom a person means is most likely one that lives, and of many that ended only some can be named.
  const living = fits.filter(lives);
  const named = [...living, ...fits.filter((one) => !living.includes(one))].slice(0, 3);
  throw new SupervisorError(
    "ambiguous_agent",
    `${id_or_prefix} fits ${fits.length} agents, ${living.length} living (${named
      .map((one) => one.id)
      .join(", ")}${fits.length > named.length ? ", …" : ""}); type more of the id`,
  );
}

/** Of another program's agent nobody can tell. */
const lives = (one: Found<unknown>) => "agent" in one && !is_foreign(one.agent) && !is_ended(one.agent.status);

/** What stands before the time and the random part of an id; an id of another program may have neither. */
const type_of = (id: string) => id.replace(/-\d{6}-[0-9a-f]{6}$/, "");

/** True when an agent that is known has this short id. */
export function is_taken(tasks: Iterable<Place>, short_id: string): boolean {
  for (const { agents, journal } of tasks) {
    for (const id of agents.keys()) if (id.endsWith(short_id)) return true;
    for (const { id } of journal.entries()) if (id.endsWith(short_id)) return true;
  }
  return false;
}
