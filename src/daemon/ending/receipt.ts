/** The receipt: what was stopped, what became of each file, and anything that does not add up. Pure. */
import { type AgentRecord, type Ending, is_foreign } from "../../contract/agent.ts";
import type { Receipt } from "../../contract/receipt.ts";
import type { AgentStatus } from "../../contract/status.ts";
import type { RemovedFiles } from "./remove.ts";

export function make_receipt(
  agent: AgentRecord,
  ending: Ending,
  files: RemovedFiles,
  status: AgentStatus,
  total_ms: number,
  ended_at: string,
): Omit<Receipt, "outcome"> {
  const closed = ending.closed;
  const streams = closed?.streams ?? [];
  const sum = (pick: (one: (typeof streams)[number]) => number) => streams.reduce((total, one) => total + pick(one), 0);
  const uneven = streams
    .filter((one) => one.bytes_read !== one.bytes_written)
    .map((one) => `${one.path}: ${one.bytes_read} bytes were read, ${one.bytes_written} are in the file`);
  const survivors = closed?.survivors ?? [];
  const accounted = (closed?.counted ?? false) && uneven.length === 0;
  const { stop: _waited, ...ours } = ending.duration_ms;
  return {
    success: is_success(agent, { ...files, survivors, bytes_accounted: accounted }),
    agent_id: agent.id,
    tmux_session: agent.tmux_session,
    session_killed: ending.session_killed,
    reason: ending.reason,
    status,
    cleanup: {
      ...files,
      bytes_logged: sum((one) => one.bytes_written),
      bytes_read: sum((one) => one.bytes_read),
      bytes_accounted: accounted,
      processes_ended: closed?.processes_ended ?? [],
      survivors,
      duration_ms: rounded({ ...closed?.duration_ms, ...ours, total: total_ms }),
    },
    cause: ending.cause,
    exit: closed?.exit ?? { code: null, signal: null, at: null },
    signals: closed?.signals ?? [],
    ended_at,
    amended_at: null,
    notes: [...agent.notes, ...(closed?.notes ?? []), ...uneven],
    containment: closed?.containment ?? agent.containment,
    oom_kills: closed?.oom_kills ?? 0,
  };
}

/** What `success` means. Files that wait for a holder do not make it false; output of a foreign agent never went through us. */
export function is_success(
  agent: AgentRecord,
  cleanup: Pick<Receipt["cleanup"], "survivors" | "files_failed" | "bytes_accounted">,
): boolean {
  return (
    cleanup.survivors.length === 0 &&
    cleanup.files_failed.length === 0 &&
    (cleanup.bytes_accounted || is_foreign(agent))
  );
}

function rounded(durations: Record<string, number | undefined>): Receipt["cleanup"]["duration_ms"] {
  return Object.fromEntries(Object.entries(durations).map(([step, ms]) => [step, Math.round((ms ?? 0) * 10) / 10]));
}
