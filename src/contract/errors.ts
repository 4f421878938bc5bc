/**
 * Every error a user can meet, in one catalogue: what it means over HTTP and as an exit code.
 * `docs/errors.md` lists the same codes; a test holds the two together.
 */
export const ERRORS = {
  invalid_request: { http: 400, exit: 2, meaning: "A value in the request is not what the operation takes." },
  program_not_found: {
    http: 400,
    exit: 2,
    meaning: "The agent's program is not on the caller's PATH, or cannot be run.",
  },
  directory_not_found: { http: 400, exit: 2, meaning: "The directory the agent should run in does not exist." },
  profile_not_found: { http: 404, exit: 4, meaning: "No profile has that name." },
  config_invalid: {
    http: 500,
    exit: 2,
    meaning: "A config file cannot be used; the supervisor does not start with it.",
  },
  request_too_large: { http: 413, exit: 2, meaning: "The request's body or headers are over the limit." },
  too_many_requests: { http: 429, exit: 1, meaning: "One agent, or one operation, is asked for too often." },
  agent_not_found: { http: 404, exit: 4, meaning: "No agent has that id, or that prefix." },
  task_not_found: { http: 404, exit: 4, meaning: "No task has that id." },
  log_not_found: { http: 404, exit: 4, meaning: "The agent's log was deleted with its other files." },
  not_found: { http: 404, exit: 4, meaning: "The API has no such route." },
  ambiguous_agent: { http: 409, exit: 2, meaning: "The prefix fits more than one agent." },
  agent_not_running: { http: 409, exit: 1, meaning: "The agent has ended, or is ending." },
  agent_not_ours: {
    http: 409,
    exit: 1,
    meaning: "The agent was started by another program; its terminal is not ours.",
  },
  not_the_reporter: { http: 403, exit: 1, meaning: "An agent reported for another agent." },
  input_not_accepted: {
    http: 409,
    exit: 1,
    meaning: "The agent does not read its terminal; nothing more can be typed.",
  },
  no_pane: { http: 409, exit: 1, meaning: "The agent has no pane to attach to, since its tmux server died." },
  limits_unavailable: {
    http: 409,
    exit: 1,
    meaning: "A limit on memory, processes or CPU was asked for that this machine cannot set.",
  },
  limit_reached: {
    http: 409,
    exit: 1,
    meaning: "max_agents, max_concurrent (where waiting was not wanted) or max_depth leaves no room for the agent.",
  },
  too_little_free: { http: 507, exit: 1, meaning: "Free disk or memory is below its floor; no agent is begun." },
  out_of_resources: {
    http: 503,
    exit: 1,
    meaning: "Descriptors, processes, terminals or memory are used up; what was asked for was not done.",
  },
  daemon_running: { http: 409, exit: 1, meaning: "Another supervisor serves this workspace." },
  daemon_info_unreadable: {
    http: 500,
    exit: 1,
    meaning: "daemon.json of the workspace does not say who serves it.",
  },
  stopped_at_once: {
    http: 503,
    exit: 1,
    meaning: "The supervisor was told to stop twice, and did not finish its work.",
  },
  daemon_stopping: { http: 503, exit: 1, meaning: "The supervisor is stopping and takes no new work." },
  no_daemon: { http: 503, exit: 3, meaning: "No supervisor serves this workspace." },
  daemon_gone: { http: 503, exit: 1, meaning: "The supervisor went away before it answered." },
  tmux_missing: { http: 500, exit: 1, meaning: "tmux is not installed, too old, or does not answer." },
  tmux_failed: { http: 500, exit: 1, meaning: "tmux refused a command." },
  lsof_missing: { http: 500, exit: 1, meaning: "lsof is not installed, or does not answer: no end could be proven." },
  host_failed: { http: 500, exit: 1, meaning: "The agent's host did not start, or did not answer." },
  launch_failed: { http: 500, exit: 1, meaning: "The host could not start the agent's program." },
  workspace_unusable: { http: 500, exit: 1, meaning: "The workspace cannot be made or written." },
  runtime_dir_unusable: {
    http: 500,
    exit: 1,
    meaning: "The private directory for sockets cannot be made, or is not ours alone.",
  },
  out_of_place: {
    http: 409,
    exit: 1,
    meaning: "A file or directory of the workspace is a link, or leads to another place; it was left alone.",
  },
  registry_unreadable: { http: 500, exit: 1, meaning: "A registry file is of a newer version, or cannot be read." },
  registry_unwritable: {
    http: 500,
    exit: 1,
    meaning: "The registry could not be written. What was asked for was not done; an end is tried again by itself.",
  },
  protocol_mismatch: { http: 500, exit: 1, meaning: "A host speaks another protocol version." },
  timeout: { http: 504, exit: 1, meaning: "The deadline passed." },
  internal: { http: 500, exit: 1, meaning: "A defect in the supervisor." },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** An error for the person who reads it: what failed, on what, and what to do next, in one line. */
export class SupervisorError extends Error {
  override readonly name = "SupervisorError";
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
  get http_status(): number {
    return ERRORS[this.code].http;
  }
  get exit_code(): number {
    return ERRORS[this.code].exit;
  }
}

/** The text of anything thrown, on one line: system errors keep their code, nothing carries a stack. */
export function message_of(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, " ").trim();
}

/**
 * What libuv has no name for: Node calls it `Unknown system error -122` and gives the number (seen with Node 20.20, libuv 1.46). Linux's numbers
 * (errno(3), the same on x86 and arm) stand here themselves, because node:os would be loaded into every host for them.
 */
const UNNAMED: Partial<Record<number, string>> = { [-116]: "ESTALE", [-122]: "EDQUOT" };

/** The errno name of a system error (`ENOENT`), or undefined. */
export function errno_of(error: unknown): string | undefined {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
  if (typeof code !== "string") return undefined;
  return (code.startsWith("Unknown system error") && UNNAMED[Number(errno)]) || code;
}

/** True for the one errno that is expected here; everything else must be thrown on. */
export function is_errno(error: unknown, ...codes: string[]): boolean {
  const code = errno_of(error);
  return code !== undefined && codes.includes(code);
}

/** For a wait that was given up by its signal, which is no error. */
export function ignore_abort(error: unknown): null {
  if ((error as Error).name !== "AbortError") throw error;
  return null;
}

/** What the errors of a machine in trouble mean to a person. The others keep the system's own words. */
const TROUBLE: Partial<Record<string, string>> = {
  ENOSPC: "no space is left on the disk",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EIO: "the disk reports an input/output error",
  ESTALE: "the network file system lost the file",
  ENOTCONN: "the file system's server is gone",
  EMFILE: "too many files are open in this process",
  ENFILE: "too many files are open on this machine",
  ENOMEM: "no memory is left for it",
};

/** True for an error of the disk or file system that may pass: what failed can be tried again. */
export function is_disk_trouble(error: unknown): boolean {
  return is_errno(error, "ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ENOTCONN");
}

/**
 * True when a process or the machine had too little of something for the moment: descriptors, memory. It says nothing of the file or the process that was
 * asked for, and may pass.
 */
export function is_used_up(error: unknown): boolean {
  if (error instanceof SupervisorError) return error.code === "out_of_resources";
  return is_errno(error, "EMFILE", "ENFILE", "ENOMEM");
}

/** What to do about it, by errno. EAGAIN is fork(2)'s: the limit of processes; of a file it would mean another thing. */
const REMEDY: Partial<Record<string, string>> = {
  EMFILE: "close what is open, or raise the limit ('ulimit -n')",
  ENFILE: "close what is open, or raise fs.file-max",
  EAGAIN: "end some processes, or raise the limit ('ulimit -u', pids.max)",
  ENOMEM: "free some memory",
};

/** Why a process could not be started for want of means, and what to do, in words; null for any other error. */
export function why_not_started(error: unknown): string | null {
  const code = errno_of(error);
  const remedy = code === undefined ? undefined : REMEDY[code];
  if (!remedy) return null;
  return `${code === "EAGAIN" ? "no more processes may be started (EAGAIN)" : trouble(error)}; ${remedy}`;
}

/** There are no more ptys. The kernel says ENOSPC, whose usual words (no space on the disk) mislead (its Documentation/filesystems/devpts.rst). */
export const NO_PTY =
  "no terminal (pty) is free; end agents or close terminals, or raise their number (sysctl kernel.pty.max, or max= of the mount of /dev/pts)";

/** A system error in words, with its code, in one line. */
export function trouble(error: unknown): string {
  const code = errno_of(error);
  const words = code === undefined ? undefined : TROUBLE[code];
  return words ? `${words} (${code})` : message_of(error);
}
