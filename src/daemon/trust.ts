/**
 * Is what a host says so? Its word is held against the registry and against /proc before anything is done on it: a wrong pid would
 * become a signal to somebody else's process. Pure: facts come in as arguments.
 */
import { basename, dirname } from "node:path";
import type { AgentRecord } from "../contract/agent.ts";
import type { HostFacts } from "../contract/host-protocol.ts";
import { HOST_SOCKET } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import type { ProcessFacts } from "../drivers/procfs.ts";

/** What the kernel says, asked after the host. */
export interface Look {
  /** The process that has this pid now, a zombie too, or null. */
  process(pid: number): ProcessFacts | null;
  arguments_of(pid: number): string[];
  was_started_with(pid: number, entry: string): boolean;
}

/** What the registry knows, of this boot; `cookie_entry` is `NAME=value`. */
export interface Known extends Pick<AgentRecord, "id" | "process"> {
  host: ProcessRef | null;
  socket: string;
  cookie_entry: string | null;
}

const same = (a: ProcessRef, b: ProcessRef) => a.pid === b.pid && a.start_time === b.start_time;
const text = (one: ProcessRef) => `pid ${one.pid} (started at ${one.start_time})`;

/** Why the facts cannot be so, or null. */
export function doubt(known: Known, facts: HostFacts, look: Look): string | null {
  if (facts.agent_id !== known.id) return `it says that it is the host of ${facts.agent_id}`;
  if (known.host && !same(known.host, facts.host))
    return `it says that it is ${text(facts.host)}, but the host is ${text(known.host)}`;
  const host = look.process(facts.host.pid);
  if (!host || !same(host, facts.host)) return `it says that it is ${text(facts.host)}, which does not exist`;
  if (!known.host && !was_started_for(known.socket, look.arguments_of(host.pid)))
    return `it says that it is ${text(facts.host)}, which was not started for this socket`;
  return doubt_phase(known, facts) ?? doubt_process(known, facts, look);
}

/** For this very socket; or as a spare host (`ID SOCKET TMUX_SOCKET spare …`) beside it, in the private directory, which may have any agent's name by now. */
function was_started_for(socket: string, args: readonly string[]): boolean {
  if (args.includes(socket)) return true;
  const at = args.indexOf("spare");
  const own = args[at - 2] ?? "";
  return at > 2 && dirname(own) === dirname(socket) && HOST_SOCKET.test(basename(own));
}

function doubt_phase(known: Known, { phase, process, closed }: HostFacts): string | null {
  const before_launch = phase === "waiting" || phase === "launching";
  if (before_launch && (process || known.process)) return `it says that it is ${phase}, but the agent was launched`;
  if (!before_launch && !process) return `it says that it is ${phase}, but names no process`;
  if ((phase === "closed") !== (closed !== null))
    return `it says that it is ${phase}, ${closed ? "with" : "without"} a report`;
  if (closed && closed.agent_id !== known.id) return `its report is of ${closed.agent_id}`;
  return null;
}

/** The agent's process becomes the leader of what is ended: it is believed only when the registry or the kernel says the same. */
function doubt_process(known: Known, { phase, process, host }: HostFacts, look: Look): string | null {
  if (!process) return null;
  if (known.process)
    return same(known.process, process)
      ? null
      : `it says that the agent is ${text(process)}, but it is ${text(known.process)}`;
  const found = look.process(process.pid);
  if (!found || !same(found, process)) {
    // Ended and reaped. While it is said to run this can only be a moment's delay, so that it is asked again.
    return phase === "running" ? `it says that the agent runs as ${text(process)}, which does not exist` : null;
  }
  const is_its_own = found.ppid === host.pid;
  const has_cookie = known.cookie_entry !== null && look.was_started_with(found.pid, known.cookie_entry);
  return is_its_own || has_cookie ? null : `it says that the agent is ${text(process)}, which is not its child`;
}

/** Where host and disk disagree on the bytes, or null. `on_disk` was looked at after the facts came: a log only grows. */
export function uneven(facts: HostFacts, on_disk: number | null): string | null {
  if (facts.bytes_read < facts.bytes_written)
    return `its host says that it wrote ${facts.bytes_written} bytes but read ${facts.bytes_read}`;
  if (on_disk !== null && on_disk < facts.bytes_written)
    return `its host wrote ${facts.bytes_written} bytes, but its logs have ${on_disk}: somebody cut or removed them`;
  return null;
}
