/** What is the matter now, from facts that come in as arguments. Pure; causes that are facts and not conditions are not told here. */

import { is_adverse } from "../../contract/adverse.ts";
import type { AgentRecord } from "../../contract/agent.ts";
import type { AlertCause, AlertsConfig } from "../../contract/alert.ts";
import type { HostState } from "../../contract/host-state.ts";
import { is_ended } from "../../contract/status.ts";

export interface Condition {
  cause: AlertCause;
  agent_id: string | null;
  message: string;
}

export interface Facts {
  now_ms: number;
  agents: readonly AgentRecord[];
  host_states: ReadonlyMap<string, { state: HostState; reason: string; since_ms: number }>;
  /** Ends under way, by agent id; why they wait, or null while an attempt is made. */
  ends: ReadonlyMap<string, string | null>;
  /** Null when nobody could tell: then what was the matter with it still is. */
  disk_free_bytes: number | null;
  config: AlertsConfig;
}

/** Room that was just made is soon used again: an alert is over only when there is a tenth more than the floor. */
const DISK_MARGIN = 1.1;

/**
 * A host that was killed has closed its socket some moments before /proc says that it is gone: until then it looks like one that lives and
 * cannot be reached, or, who comes just before that, like one that hangs up on whoever comes. In ms.
 */
const DYING_MS = 2_000;

export const key_of = ({ cause, agent_id }: Pick<Condition, "cause" | "agent_id">) => `${cause} ${agent_id ?? ""}`;

/** All that is the matter; `held` are the keys of what was the matter the last time. */
export function conditions_of(facts: Facts, held: ReadonlySet<string>): Condition[] {
  return [...disk(facts, held), ...facts.agents.flatMap((agent) => of_agent(agent, facts, held))];
}

function disk({ disk_free_bytes: free, config }: Facts, held: ReadonlySet<string>): Condition[] {
  const condition: Condition = {
    cause: "disk_low",
    agent_id: null,
    message: `${free} bytes are free on the workspace's file system, less than ${config.disk_free_bytes}; make room, or agents and ends will wait`,
  };
  const before = held.has(key_of(condition));
  if (free === null) return before ? [condition] : [];
  return free < config.disk_free_bytes * (before ? DISK_MARGIN : 1) ? [condition] : [];
}

function of_agent(agent: AgentRecord, facts: Facts, held: ReadonlySet<string>): Condition[] {
  const found: Condition[] = [];
  const { id: agent_id, receipt, cleanup_state } = agent;
  if (cleanup_state === "deferred" && receipt) {
    const ended_ms = Date.parse(receipt.ended_at);
    // A time that cannot be read is told of rather than waited for: nobody would ever hear of it.
    const is_late = !(facts.now_ms - ended_ms <= facts.config.deferred_minutes * 60_000);
    const since = Number.isNaN(ended_ms) ? "an end whose time cannot be read" : receipt.ended_at;
    const [first] = receipt.cleanup.files_deferred;
    const why = first?.holders[0]
      ? `${first.holders[0].command} (pid ${first.holders[0].pid}) holds`
      : "nobody can tell who holds";
    if (is_late)
      found.push({
        cause: "cleanup_deferred",
        agent_id,
        message: `${receipt.cleanup.files_deferred.length} of its files have waited in trash since ${since}: ${first?.reason ?? `${why} ${first?.path ?? "them"}`}`,
      });
  }
  const waits_for = facts.ends.get(agent_id);
  if (waits_for !== undefined) {
    const condition: Condition = {
      cause: "end_waiting",
      agent_id,
      message: `its end cannot be completed: ${waits_for}`,
    };
    // While it is tried again nobody knows yet whether it is over.
    if (waits_for !== null || held.has(key_of(condition))) found.push(condition);
  }
  const host = facts.host_states.get(agent_id);
  if (host && is_adverse(host.state) && !is_ended(agent.status)) {
    const condition: Condition = {
      cause: "host_silent",
      agent_id,
      message: `its host is ${host.state}: ${host.reason}; the agent goes on, and the host is tried again`,
    };
    const is_refusing = host.state === "unreachable" || host.state === "mistrusted";
    const may_be_dying = is_refusing && facts.now_ms - host.since_ms < DYING_MS;
    if (!may_be_dying || held.has(key_of(condition))) found.push(condition);
  }
  return found;
}
