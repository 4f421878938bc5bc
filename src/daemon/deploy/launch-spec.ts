/** What a host is told to launch. */
import { COOKIE_VARIABLE } from "../../containment/family.ts";
import type { AgentRecord } from "../../contract/agent.ts";
import type { LaunchSpec } from "../../contract/host-protocol.ts";
import { exit_record_path } from "../../contract/paths.ts";
import { type DeployPlan, launch_command, stdin_file } from "../profiles/plan.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";

/** What a pty of ours is, where nothing else is asked for. */
const DEFAULT_TERM = "xterm-256color";

/** With the environment: it travels over the control socket, and is nowhere on disk. */
export function launch_spec(services: Services, task: Task, agent: AgentRecord, request: DeployPlan): LaunchSpec {
  const files = agent.tracked_files;
  const env: Record<string, string> = {
    TERM: DEFAULT_TERM,
    ...request.env,
    SUPERVISOR_AGENT_ID: agent.id,
    SUPERVISOR_TASK_ID: task.task_id,
    SUPERVISOR_WORKSPACE: services.workspace,
    SUPERVISOR_SOCKET: services.socket,
    SUPERVISOR_PROMPT_FILE: files.prompt_file as string,
    ...(files.mcp_config ? { SUPERVISOR_MCP_CONFIG: files.mcp_config } : {}),
    [COOKIE_VARIABLE]: agent.cookie as string,
  };
  return {
    agent_id: agent.id,
    task_id: task.task_id,
    command: launch_command(request, files.prompt_file as string, files.mcp_config),
    cwd: agent.cwd,
    env,
    mode: agent.mode,
    stdout: agent.stdout,
    cookie: agent.cookie as string,
    prompt_file: stdin_file(request, files.prompt_file as string),
    log_file: files.log_file as string,
    terminal_log: files.terminal_log ?? null,
    exit_record: exit_record_path(task.dir, agent.id),
    grace_ms: agent.grace_ms,
    cleanup: agent.cleanup,
    cgroups: agent.cgroups,
    limits: agent.limits,
    log_limit: agent.log_limit,
    record: { ...agent },
  };
}
