/** Where things are. Pure: no file is touched here. */
import { createHash } from "node:crypto";
import { isAbsolute, join, normalize, resolve, sep } from "node:path";
import type { TrackedFiles } from "./agent.ts";
import { short_agent_id } from "./ids.ts";

/** The longest path a unix socket may have: sun_path is 108 bytes with its final NUL (unix(7)). */
export const SOCKET_PATH_BYTES = 107;

export const DEFAULT_WORKSPACE = ".agent-workspace";

/** What a command that is shown to somebody needs so that it is for this workspace when it is copied: nothing for the default one of the directory. */
export function workspace_option(workspace: string, cwd: string): string {
  if (workspace === resolve(cwd, DEFAULT_WORKSPACE)) return "";
  return ` --workspace ${/^[\w@%+=:,./-]+$/.test(workspace) ? workspace : `'${workspace.replaceAll("'", "'\\''")}'`}`;
}

/** For `cwd`, where nobody knows in which directory it will be typed: the workspace is always named. */
export const ANYWHERE = "/";

/**
 * Text of the daemon with `option` (workspace_option) in the commands that it names. The daemon does not know where whoever reads it types; it writes
 * commands whole and in single quotes, as 'supervisor ps --all', and so they are known.
 */
export function with_workspace(text: string, option: string): string {
  return text.replace(/'(supervisor [a-z][^']*)'/g, (_quoted, command: string) => `'${command}${option}'`);
}

/** Says who serves the workspace, and where: `{pid, start_time, boot_id, socket, runtime_dir}`. */
export const daemon_file = (workspace: string) => join(workspace, "daemon.json");

/** What counts on of tasks that expired and of what was swept. */
export const ledger_path = (workspace: string) => join(workspace, "totals.json");

export const task_dir = (workspace: string, task_id: string) => join(workspace, task_id);
export const registry_path = (dir: string) => join(dir, "AGENT_REGISTRY.json");
/** Ended agents that have left the registry, with their receipts. */
export const journal_path = (dir: string) => join(dir, "receipts.jsonl");
export const trash_dir = (dir: string) => join(dir, "trash");
export const archive_dir = (dir: string) => join(dir, "archive");
/** The receipt of an agent, beside what was archived of it. */
export const archived_receipt_path = (dir: string, agent_id: string) =>
  join(archive_dir(dir), `${agent_id}_receipt.json`);
/** Exit records wait here until the daemon takes them in. */
export const exits_dir = (dir: string) => join(dir, "exits");
export const exit_record_path = (dir: string, agent_id: string) => join(exits_dir(dir), `${agent_id}.json`);

/** Where a host records the full parts of its logs. */
export const parts_record_path = (exit_record: string) => `${exit_record}.parts`;

/** The folders a task has from its beginning. */
export const task_folders = (dir: string) => [
  dir,
  ...["logs", "progress", "findings", "archive", "trash", "exits"].map((name) => join(dir, name)),
];

/** The trash of a folder from which nothing can be renamed into the task's, because it is a mount of its own. Made when it is needed. */
export const own_trash_dir = (folder: string) => join(folder, ".trash");
/** Everywhere files of a task may be set aside. */
export const trash_dirs = (dir: string) => [trash_dir(dir), ...task_folders(dir).map(own_trash_dir)];

/** The files of an agent, by role, in the order in which they are removed. */
export function tracked_files_of(
  dir: string,
  agent_id: string,
  terminal_log: boolean,
  mcp_config = false,
): TrackedFiles {
  return {
    prompt_file: join(dir, `agent_prompt_${agent_id}.txt`),
    log_file: join(dir, "logs", `${agent_id}_stream.jsonl`),
    progress_file: join(dir, "progress", `${agent_id}_progress.jsonl`),
    findings_file: join(dir, "findings", `${agent_id}_findings.jsonl`),
    deploy_log: join(dir, "logs", `deploy_${agent_id}.json`),
    ...(terminal_log ? { terminal_log: join(dir, "logs", `${agent_id}_terminal.log`) } : {}),
    ...(mcp_config ? { mcp_config: join(dir, `agent_mcp_${agent_id}.json`) } : {}),
  };
}

/** The private directory of a workspace's sockets. Short, because socket paths are. `base` is XDG_RUNTIME_DIR or the temp dir. */
export function runtime_dir_of(base: string, uid: number, workspace: string): string {
  return join(base, `supervisor-${uid}`, workspace_key(workspace));
}
/** True for a directory that `runtime_dir_of` could have named: what a file says must not make us clean up anywhere else. */
export function is_runtime_dir(dir: string, uid: number): boolean {
  return isAbsolute(dir) && normalize(dir) === dir && new RegExp(`/supervisor-${uid}/[0-9a-f]{10}$`).test(dir);
}
const workspace_key = (workspace: string) => createHash("sha256").update(workspace).digest("hex").slice(0, 10);

/** The directory that holds the control groups of a workspace's agents, in each hierarchy. */
export const cgroup_directory = (uid: number, workspace: string) => `supervisor-${uid}-${workspace_key(workspace)}`;
/** True for a path below `dir` that needs no `..` to get there. Whether links lead away is asked of the file system (drivers/in-place). */
export function is_inside(dir: string, path: string): boolean {
  return path.startsWith(dir + sep) && normalize(path) === path;
}
export const daemon_socket = (runtime_dir: string) => join(runtime_dir, "d.sock");
export const tmux_socket = (runtime_dir: string) => join(runtime_dir, "t.sock");
export const tmux_config = (runtime_dir: string) => join(runtime_dir, "tmux.conf");
/** The cookie of the programs that are told of alerts: by it the next daemon finds those that this one left when it was killed. */
export const hook_cookie_file = (runtime_dir: string) => join(runtime_dir, "hooks");
export const canary_file = (runtime_dir: string) => join(runtime_dir, "canary");
/** Where a daemon that was started in a session says why it could not start. */
export const start_failure_file = (runtime_dir: string) => join(runtime_dir, "start.failed");
/** What a host's socket is called, in the runtime directory. */
export const HOST_SOCKET = /^(\d{6}-[0-9a-f]{6})\.sock$/;
export const host_socket = (runtime_dir: string, agent_id: string) =>
  join(runtime_dir, `${short_agent_id(agent_id)}.sock`);
export const host_stderr = (runtime_dir: string, agent_id: string) =>
  join(runtime_dir, `${short_agent_id(agent_id)}.err`);
/** The named pipes between a host and the placeholder in its new pane; only until both have opened them. */
export const placeholder_pipes = (runtime_dir: string, agent_id: string) => ({
  life: join(runtime_dir, `${short_agent_id(agent_id)}.life`),
  sizes: join(runtime_dir, `${short_agent_id(agent_id)}.size`),
});
