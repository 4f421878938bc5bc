import { randomBytes } from "node:crypto";

/** What an agent type may look like: it becomes part of file names, socket names and tmux session names. */
export const AGENT_TYPE_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** `<type>-<HHMMSS>-<6 hex>`, as the first generation of registries wrote it. */
export const AGENT_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}-\d{6}-[0-9a-f]{6}$/;

/** `TASK-<YYYYMMDD>-<HHMMSS>-<8 hex>`. */
export const TASK_ID_PATTERN = /^TASK-\d{8}-\d{6}-[0-9a-f]{8}$/;

const two = (value: number) => String(value).padStart(2, "0");
const clock = (now: Date) => two(now.getHours()) + two(now.getMinutes()) + two(now.getSeconds());
const calendar = (now: Date) => `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;

/** A new agent id. Local time, because a person reads it beside a wall clock; the hex makes it unique. */
export function new_agent_id(type: string, now: Date): string {
  // Joined: V8 makes of a template this long a tree of its parts, which an id that has lived for a while keeps beside its text. The supervisor remembers ids for long.
  return [type, clock(now), randomBytes(3).toString("hex")].join("-");
}

/** A new task id. */
export function new_task_id(now: Date): string {
  return `TASK-${calendar(now)}-${clock(now)}-${randomBytes(4).toString("hex")}`;
}

/** The part of an agent id that is short and unique: `<HHMMSS>-<6 hex>`. Socket names are made of it (108-byte limit). */
export function short_agent_id(agent_id: string): string {
  return agent_id.slice(-13);
}

/** The tmux session of a daemon that was started by need. No agent's: those begin with `agent_`. */
export const SUPERVISOR_SESSION = "supervisor";

/** The tmux session of an agent. tmux forbids `.` and `:` in names; the id pattern has neither. */
export function session_name(agent_id: string): string {
  return `agent_${agent_id}`;
}
