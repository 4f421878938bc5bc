/**
 * Whether the work was done, as the agent's exit code, its own report and its stream say it. The last result event is read from the
 * end of the log when the host has closed it, before it is set aside.
 */
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import type { EventCondition, ResultEvent } from "../../contract/profile.ts";
import type { Outcome, ResultSaid } from "../../contract/receipt.ts";
import { is_object, type Json } from "../logs/families/entry.ts";
import { parse_json } from "../logs/format.ts";
import { limited, lines_backwards } from "../logs/lines.ts";
import { list_parts } from "../logs/log-parts.ts";
import type { Profiles } from "../profiles/profiles.ts";
import type { Services } from "../services.ts";

/** How far back a result event is looked for where the profile says what it looks like. In bytes. */
const LOOKED_AT_BYTES = 4 * 1024 * 1024;
/** Where no profile does: only at the very end, because other programs' logs may have such lines anywhere. */
const LOOKED_AT_LINES = 20;

/** The last result event, or null. A log that cannot be read says nothing, and a note says why. */
export async function find_result(services: Services, agent: AgentRecord, ending: Ending): Promise<ResultSaid | null> {
  const path = agent.tracked_files.log_file;
  const { known, declared } = known_results(services.profiles, agent.profile);
  // Of an agent that was killed or lost nobody asks whether its work was done.
  if (!path || !asked(ending)) return null;
  try {
    let bytes = 0;
    let lines = 0;
    for await (const line of lines_backwards(limited(blocks_backwards(services, agent), LOOKED_AT_BYTES))) {
      bytes += line.bytes + 1;
      // The last line of what is looked at may have lost its beginning.
      if (bytes > LOOKED_AT_BYTES) return null;
      const event = line.cut > 0 ? undefined : parse_json(line.text);
      const said = is_object(event) ? result_of(event, known) : null;
      if (said) return { ...said, declared };
      lines += 1;
      if (!declared && lines >= LOOKED_AT_LINES) return null;
    }
  } catch (error) {
    if (!is_errno(error, "ENOENT") && !(error instanceof SupervisorError && error.code === "log_not_found"))
      ending.closed?.notes.push(`no result was looked for in the log: ${message_of(error)}`);
  }
  return null;
}

/** The log's blocks from its end, also where it was rotated. */
async function* blocks_backwards(services: Services, agent: AgentRecord): AsyncGenerator<Buffer> {
  for (const { path } of (await list_parts(services, agent, "log_file")).toReversed())
    yield* services.readers.read_backwards(agent.id, path, new AbortController().signal);
}

const asked = ({ cause }: Ending) =>
  cause === "exited" || cause === "reported_completed" || cause === "reported_failed";

/** What results look like: as the agent's profile says; without one, as any profile says. */
function known_results(profiles: Profiles, name: string | null): { known: ResultEvent[]; declared: boolean } {
  const own = name === null ? undefined : profiles.get(name)?.result_event;
  if (own && own.completed.length + own.failed.length > 0) return { known: [own], declared: true };
  return { known: [...profiles.values()].map((one) => one.result_event), declared: false };
}

/** What an event says of the work, by the first condition that it fits; failures are looked at first. */
export function result_of(event: Json, known: ResultEvent[]): Pick<ResultSaid, "status" | "event"> | null {
  for (const status of ["failed", "completed"] as const) {
    const fitting = known.flatMap((one) => one[status]).find((condition) => fits(event, condition));
    if (fitting) return { status, event: fitting };
  }
  return null;
}

function fits(event: Json, condition: EventCondition): boolean {
  return Object.entries(condition).every(([path, wanted]) => {
    const value = path.split(".").reduce<unknown>((at, key) => (is_object(at) ? at[key] : undefined), event);
    return Array.isArray(wanted) ? wanted.some((one) => one === value) : wanted === value;
  });
}

/** Who said what, and whose word counts. */
export function outcome_of(agent: AgentRecord, ending: Ending): Outcome {
  const { cause, result_event } = ending;
  const exit = exit_says(agent, ending);
  const report = cause === "reported_completed" ? "completed" : cause === "reported_failed" ? "failed" : null;
  const words = [exit, report, result_event?.status ?? null].filter((word) => word !== null);
  const overruled = exit === "completed" && result_event?.declared === true && result_event.status === "failed";
  return {
    exit,
    report,
    result_event,
    decided_by: report ? "report" : cause !== "exited" ? "cause" : overruled ? "result_event" : "exit",
    agrees: new Set(words).size <= 1,
  };
}

/** What the exit says, if it was the agent's own: one that we sent a signal says nothing of its work. */
function exit_says(agent: AgentRecord, { closed }: Ending): "completed" | "failed" | null {
  if (!closed || (closed.exit.code === null && closed.exit.signal === null)) return null;
  if (closed.signals.some((sent) => agent.process && sent.pids.includes(agent.process.pid))) return null;
  return closed.exit.code === 0 ? "completed" : "failed";
}
