/** One handler for each operation: what the daemon does when it is asked. */
import { setTimeout as delay } from "node:timers/promises";
import { type AgentRecord, is_foreign } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import type { Answer, OperationName, ParsedRequest } from "../../contract/operations.ts";
import { is_ended } from "../../contract/status.ts";
import { deploy } from "../deploy.ts";
import { end_agent } from "../ending/end.ts";
import { collect_garbage } from "../gc.ts";
import { kill_agent, kill_all } from "../kill.ts";
import { open_log_stream } from "../logs/log-stream.ts";
import type { Task } from "../registry/registry.ts";
import type { Services } from "../services.ts";
import { verify_agents } from "../verify-agents.ts";
import { VERSION } from "../version.ts";
import { event_stream } from "./event-stream.ts";

export type Stream = AsyncIterable<Buffer | string>;
type Result<N extends OperationName> = unknown extends Answer<N> ? Stream : Answer<N>;
export type Handlers = {
  [N in OperationName]: (services: Services, request: ParsedRequest<N>, signal: AbortSignal) => Promise<Result<N>>;
};

export const HANDLERS: Handlers = {
  health: async (services) => ({
    ok: true,
    pid: process.pid,
    version: VERSION,
    workspace: services.workspace,
    runtime_dir: services.runtime_dir,
    tmux_socket: services.tmux.socket,
    running: services.registry.agents().filter((agent) => !is_ended(agent.status)).length,
  }),
  deploy: async (services, { body }) => {
    if (services.stopping)
      throw new SupervisorError("daemon_stopping", "the supervisor is stopping; start it again to deploy");
    return deploy(services, body);
  },
  list_agents: async ({ registry }, { query }) => {
    const agents = query.task ? [...registry.task(query.task).agents.values()] : registry.agents();
    return agents
      .filter((agent) => query.all || !is_ended(agent.status))
      .sort((a, b) => a.started_at.localeCompare(b.started_at));
  },
  get_agent: async ({ registry }, { params }) => registry.find(params.agent),
  logs: async (services, { params, query }, signal) =>
    open_log_stream(services, services.registry.find(params.agent), query, signal),
  attach: async (services, { params }) => {
    const agent = running(services, params.agent);
    return { command: ["tmux", "-u", "-S", services.tmux.socket, "attach-session", "-t", `=${agent.tmux_session}`] };
  },
  send: async (services, { params, body }) => {
    const agent = running(services, params.agent);
    const link = services.hosts.get(agent.id);
    if (!link) throw new SupervisorError("host_failed", `the host of ${agent.id} is not connected`);
    // Enter is CR on a terminal that translates it, NL on a raw one.
    const enter = body.enter ? (agent.mode === "interactive" ? "\r" : "\n") : "";
    const { accepted } = (await link.request({ type: "input", data: body.text + enter })) as { accepted: boolean };
    if (!accepted)
      throw new SupervisorError(
        "input_not_accepted",
        `${agent.id} has not read what was typed before; nothing was typed`,
      );
    return { accepted: true };
  },
  wait: async (services, { params, query }, signal) => {
    const agent = services.registry.find(params.agent);
    const timeout =
      query.timeout_ms === undefined ? null : delay(query.timeout_ms, null, { signal, ref: false }).catch(() => null);
    const receipt = await Promise.race([ended(services, agent, signal), ...(timeout ? [timeout] : [])]);
    if (!receipt)
      throw new SupervisorError("timeout", `${agent.id} had not ended after ${query.timeout_ms} ms; it goes on`);
    return receipt;
  },
  kill: async (services, { params, body }) => kill_agent(services, services.registry.find(params.agent), body),
  kill_many: async (services, { body }) => {
    const { task_id, all, ...options } = body;
    if (!task_id === !all) throw new SupervisorError("invalid_request", "say which agents: a task_id, or all");
    const task = task_id ? services.registry.task(task_id) : null;
    const receipts = await kill_all(services, (agent) => !task || task.agents.has(agent.id), options);
    return { success: receipts.every((one) => one.success), receipts };
  },
  progress: async (services, { params, body }) => {
    const agent = services.registry.find(params.agent);
    if (is_ended(agent.status) || agent.ending)
      throw new SupervisorError("agent_not_running", `${agent.id} is ${agent.status}; it cannot report any more`);
    const progress = body.progress ?? agent.progress;
    const path = agent.tracked_files.progress_file;
    if (path)
      await services.reports.append(path, {
        timestamp: new Date().toISOString(),
        agent_id: agent.id,
        ...body,
        progress,
      });
    await services.registry.update(agent, { progress, message: body.message });
    services.events.emit({
      type: "progress",
      agent_id: agent.id,
      message: `${progress} % ${body.status}: ${body.message}`,
    });
    const cause =
      body.status === "completed" ? "reported_completed" : body.status === "failed" ? "reported_failed" : null;
    if (cause && !is_foreign(agent)) {
      end_agent(services, agent, {
        cause,
        reason: `the agent reported ${body.status}`,
        cleanup: agent.cleanup,
        grace_ms: agent.grace_ms,
      }).catch((error) => services.log.error({ agent_id: agent.id, error: String(error) }, "an end did not finish"));
    }
    return { success: true };
  },
  finding: async (services, { params, body }) => {
    const agent = services.registry.find(params.agent);
    const path = agent.tracked_files.findings_file;
    if (is_ended(agent.status) || agent.ending || !path)
      throw new SupervisorError("agent_not_running", `${agent.id} is ${agent.status}; it cannot report any more`);
    await services.reports.append(path, { timestamp: new Date().toISOString(), agent_id: agent.id, ...body });
    services.events.emit({
      type: "finding",
      agent_id: agent.id,
      message: `${body.severity} ${body.finding_type}: ${body.message}`,
    });
    return { success: true };
  },
  create_task: async ({ registry }, { body }) => summary(await registry.create_task(body.description)),
  list_tasks: async ({ registry }) => [...registry.tasks.values()].map(summary),
  get_task: async ({ registry }, { params }) => {
    const task = registry.task(params.task);
    return { ...summary(task), agent_records: [...task.agents.values()] };
  },
  verify: async (services, { body }) =>
    verify_agents(services, body.agent ? [services.registry.find(body.agent)] : services.registry.agents()),
  gc: async (services, { body }) => collect_garbage(services, body.dry_run),
  events: async (services, { query }, signal) => event_stream(services.events, query.follow, signal),
  stop: async (services, { body }) => {
    services.stopping = body.agents || services.stopping;
    try {
      const options = { reason: "the supervisor was told to stop its agents", cleanup: "archive" } as const;
      const receipts = body.agents ? await kill_all(services, () => true, options) : [];
      return { agents_running: services.registry.agents().filter((agent) => !is_ended(agent.status)).length, receipts };
    } finally {
      services.request_stop();
    }
  },
};

function running(services: Services, id: string): AgentRecord {
  const agent = services.registry.find(id);
  if (is_ended(agent.status) || agent.ending)
    throw new SupervisorError("agent_not_running", `${agent.id} is ${agent.status}`);
  if (is_foreign(agent))
    throw new SupervisorError("agent_not_ours", `${agent.id} was started by another program; its terminal is not ours`);
  return agent;
}

/** The agent's receipt, once there is one. */
async function ended(services: Services, agent: AgentRecord, signal: AbortSignal) {
  if (agent.receipt) return agent.receipt;
  return new Promise<NonNullable<AgentRecord["receipt"]>>((resolve, reject) => {
    const stop = services.events.listen((event) => {
      if (event.type !== "agent_ended" || event.agent_id !== agent.id || !agent.receipt) return;
      stop();
      resolve(agent.receipt);
    });
    signal.addEventListener("abort", () => {
      stop();
      reject(new SupervisorError("timeout", "the client went away"));
    });
  });
}

function summary(task: Task): Answer<"create_task"> {
  const agents: Record<string, number> = {};
  for (const agent of task.agents.values()) agents[agent.status] = (agents[agent.status] ?? 0) + 1;
  const { task_description, created_at, status } = task.store.data;
  return { task_id: task.task_id, task_description, created_at, status, agents };
}
