/**
 * The beginning of an agent: validate, write a durable `deploying` entry and the files, start the session, wait for its host,
 * launch. Nothing ever runs that the registry does not know; a failure at any step undoes the earlier ones and says why.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, rm, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { COOKIE_VARIABLE } from "../containment/family.ts";
import { remove_groups } from "../containment/groups.ts";
import { check_limits, plan_groups } from "../containment/place.ts";
import { type AgentRecord, agent_record } from "../contract/agent.ts";
import type { Limits } from "../contract/containment.ts";
import { deferred } from "../contract/deferred.ts";
import { is_disk_trouble, is_errno, is_used_up, message_of, SupervisorError, trouble } from "../contract/errors.ts";
import { type HostFacts, host_facts, type LaunchSpec } from "../contract/host-protocol.ts";
import { new_agent_id, session_name, short_agent_id } from "../contract/ids.ts";
import type { DeployRequest } from "../contract/operations/agents.ts";
import { exit_record_path, host_socket, host_stderr, tracked_files_of } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { open_in_place, remove_in_place } from "../drivers/in-place.ts";
import { boot_id } from "../drivers/procfs.ts";
import { kill_session } from "../drivers/tmux.ts";
import { crash_point } from "../faults/crash-point.ts";
import { deploy_log } from "./deploy-log.ts";
import { see_host_off } from "./end-host.ts";
import { end_agent } from "./ending/end.ts";
import type { HostLink } from "./host-link.ts";
import { facts_to_remember, forward_events, set_host_state, watch_host } from "./hosts.ts";
import { mcp_config } from "./mcp-config.ts";
import { no_answer, OUTSIDE, TASK_FILES, within } from "./patience.ts";
import { type DeployPlan, launch_command, missing_program, plan_deploy, stdin_file } from "./profiles/plan.ts";
import type { Registry } from "./registry/registry.ts";
import type { Task } from "./registry/task.ts";
import type { ReadyHost, Services } from "./services.ts";
import { start_host } from "./start-host.ts";
import { take_back } from "./take-back.ts";

/** What a pty of ours is, where nothing else is asked for. */
const DEFAULT_TERM = "xterm-256color";
/** The prompt as the registry shows it; the whole of it is in the prompt file. */
const PROMPT_EXCERPT = 200;

/** A deploy under way. `undo` has what takes back what was done, last first; empty once the agent may run. */
interface Deploying {
  services: Services;
  task: Task;
  agent: AgentRecord;
  request: DeployPlan;
  undo: (() => Promise<unknown>)[];
  step: string;
  /** A spare that is becoming its host; null where there was none. Absent before it was asked for. */
  spare?: Promise<ReadyHost | null>;
}

/** Begins an agent. Resolves when it runs (or has already ended again), or when it waits for room; rejects with everything undone. */
export async function deploy(services: Services, asked: DeployRequest): Promise<AgentRecord> {
  const request = plan_deploy(services.profiles, services.config.logs, asked);
  await check_program(request);
  check_limits(services.containment, limits_of(request));
  await services.queue.require_floors();
  const { registry, queue } = services;
  const parent = request.parent ? await registry.recall(request.parent) : null;
  const task = parent
    ? own_task(registry, parent, request)
    : request.task_id
      ? registry.task(request.task_id)
      : await registry.default_task();
  // From here until it is in the registry nothing may wait: two deploys would find the same room.
  const waits = queue.judge(task, parent, request);
  const agent = new_agent(services, task, request, parent);
  if (waits !== null) agent.status = "queued";
  agent.queue = waits;
  agent.cgroups = plan_groups(services.containment, agent.id, agent.limits);
  const run: Deploying = { services, task, agent, request, undo: [], step: "registering it" };
  await see_through(run, async () => {
    await register(run);
    await all_of([write_files(run), host_from_spare(run)]);
    if (waits === null) return start(run);
    run.step = "putting it into the queue";
    run.undo.push(() => queue.let_go(agent));
    await queue.take(agent, request);
  });
  queue.pump();
  return agent;
}

/** A child belongs to its parent's task, and counts there. */
function own_task(registry: Registry, parent: AgentRecord, { task_id }: DeployPlan): Task {
  const task = registry.task_of(parent);
  if (task_id === undefined || task_id === task.task_id) return task;
  throw new SupervisorError(
    "invalid_request",
    `${parent.id} belongs to ${task.task_id}, and so do its children; leave the task out, or give that one`,
  );
}

/** Begins an agent whose turn it is. Rejects with the agent back in the queue, or ended. */
export async function deploy_queued(services: Services, agent: AgentRecord, request: DeployPlan): Promise<void> {
  const { registry, queue } = services;
  const task = registry.task_of(agent);
  agent.cgroups = plan_groups(services.containment, agent.id, agent.limits);
  const run: Deploying = {
    services,
    task,
    agent,
    request,
    undo: [() => queue.put_back(agent)],
    step: "registering it",
  };
  await see_through(run, async () => {
    ask_for_spare(run);
    const now = new Date().toISOString();
    const ticket = agent.queue && { ...agent.queue, admitted_at: now };
    await registry.advance(agent, { type: "admitted" }, { queue: ticket, started_at: now, cgroups: agent.cgroups });
    crash_point("queue.admitted");
    await host_from_spare(run);
    await start(run);
    // A directory or a program that went meanwhile is the host's to say.
  });
}

/** Durably, before anything of it is made. */
async function register(run: Deploying): Promise<void> {
  const { task, agent, undo } = run;
  const { registry } = run.services;
  undo.push(async () => {
    await registry.remove(task, agent);
    crash_point("deploy.entry_removed");
  });
  // Meanwhile: it is the daemon's already, and runs nothing before it is told to launch.
  if (agent.status !== "queued") ask_for_spare(run);
  await registry.add(task, agent);
  crash_point("deploy.registered");
}

async function write_files(run: Deploying): Promise<void> {
  const { services, task, agent, request, undo } = run;
  const files = agent.tracked_files;
  run.step = "writing its files";
  const lane = TASK_FILES.of(task.dir);
  const prompt = async () => {
    await write_new(files.prompt_file as string, request.prompt ?? "");
    crash_point("deploy.prompt_written");
  };
  const log = async () => {
    await write_new(files.deploy_log as string, `${JSON.stringify(deploy_log(agent), null, 2)}\n`);
    crash_point("deploy.log_written");
  };
  const mcp = async () => {
    if (files.mcp_config) await write_new(files.mcp_config, mcp_config(services.workspace, agent.id));
  };
  // The file system makes durable together what is asked for together.
  const writing = lane.in_turn(() => all_of([prompt(), log(), mcp()]));
  // A write that hangs may still make its file when the file system answers: what is undone comes after it.
  const unwrite = async () => {
    await writing.catch(() => undefined /* it is why this is undone */);
    await lane.in_turn(() => Promise.all(Object.values(files).map((path) => remove_in_place(path))));
    crash_point("deploy.files_removed");
  };
  let unwriting: Promise<void> | null = null;
  undo.push(() => {
    // One that hangs is waited for: another beside it would hang as well.
    unwriting ??= unwrite().finally(() => {
      unwriting = null;
    });
    return within(unwriting, () => no_answer(task.dir, "the agent's files are removed when it does"));
  });
  await within(writing, () => no_answer(task.dir, "nothing was started"));
  crash_point("deploy.files_written");
}

/** Asks for a spare, which comes while other things are done. Its undoing waits for it, and leaves nothing of it. */
function ask_for_spare(run: Deploying): void {
  const { services, agent, undo } = run;
  const spare = services.spares.take(agent);
  run.spare = spare;
  undo.push(async () => {
    const ready = await spare;
    if (!ready) return;
    await remove_session(services, agent);
    ready.link.close();
    await see_host_off(ready.facts.host);
  });
}

/** The spare, if there is one, is on record as its host: as durable as that of a host that is started for it. */
async function host_from_spare(run: Deploying): Promise<void> {
  const ready = await run.spare;
  if (ready) await record_host(run, ready);
}

async function record_host({ services, agent }: Deploying, { facts }: ReadyHost): Promise<void> {
  crash_point("deploy.host_ready");
  const socket = host_socket(services.runtime_dir, agent.id);
  const host = { ...facts.host, socket, protocol: facts.protocol, boot_id: boot_id() };
  await services.registry.update(agent, { host });
  crash_point("deploy.host_recorded");
}

/** A host of its own, where there is no spare. */
function own_host(run: Deploying): Promise<ReadyHost> {
  const { services, agent } = run;
  run.step = "starting its session";
  return start_host(services, {
    id: agent.id,
    session: agent.tmux_session as string,
    spare: false,
    on_event: forward_events(services, agent.id),
    on_session: () => {
      crash_point("deploy.session_started");
      run.step = "waiting for its host";
    },
  });
}

/** Session, host, launch. */
async function start(run: Deploying): Promise<void> {
  const { services, task, agent, request, undo } = run;
  const { registry } = services;
  // Its host has removed them, unless it was killed.
  undo.push(async () => remove_groups(agent.cgroups));
  let host: ProcessRef | null = null;
  // One that hangs does not leave with its session.
  undo.push(async () => host && see_host_off(host));
  undo.push(async () => {
    await remove_session(services, agent);
    crash_point("deploy.session_removed");
  });
  const ready = (await run.spare) ?? (await own_host(run));
  const { link } = ready;
  host = ready.facts.host;
  undo.push(async () => {
    link.close();
    crash_point("deploy.link_closed");
  });
  run.step = "launching its program";
  if (!agent.host) await record_host(run, ready);
  services.hosts.set(agent.id, link);
  set_host_state(services, agent, "connected");
  const launched = await launch(link, launch_spec(services, task, agent, request)).catch((error) => {
    // Only the host's own word says that nothing runs; after any other failure the agent may, and is ended like any other.
    if (error instanceof SupervisorError && error.code === "launch_failed") services.hosts.delete(agent.id);
    else undo.length = 0;
    throw error;
  });
  undo.length = 0;
  crash_point("deploy.launched");
  await registry.advance(agent, { type: "launched" }, facts_to_remember(launched));
  crash_point("deploy.running_recorded");
  services.events.emit({ type: "agent_started", agent_id: agent.id, message: request.command.join(" ") });
  watch_host(services, agent, link);
}

/** Waits for all, also when one fails: what is undone afterwards must not be under way any more. Rejects with the first failure. */
async function all_of(work: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}

/** Runs a deploy's steps; when one fails, takes the others back and says which. */
async function see_through(run: Deploying, steps: () => Promise<void>): Promise<void> {
  const { services, agent, undo } = run;
  const finished = deferred();
  services.deploys.set(agent.id, finished.promise);
  try {
    await steps();
  } catch (error) {
    if (undo.length === 0) {
      await end_agent(services, agent, {
        cause: "deploy_failed",
        reason: message_of(error),
        cleanup: "archive",
        grace_ms: agent.grace_ms,
      });
      throw error;
    }
    const left = await take_back(services, agent, undo);
    const then = left === null ? "" : `; what was made is still to be removed (${left}), and is as soon as that can be`;
    if (error instanceof SupervisorError)
      throw new SupervisorError(error.code, `${agent.id} was not deployed (${run.step}): ${error.message}${then}`);
    if (is_disk_trouble(error) || is_used_up(error) || is_errno(error, "EACCES")) {
      throw new SupervisorError(
        is_used_up(error) ? "out_of_resources" : "workspace_unusable",
        `the agent was not deployed (${run.step}): ${trouble(error)}; nothing was started${then}`,
      );
    }
    throw error;
  } finally {
    services.deploys.delete(agent.id);
    services.spares.fill();
    finished.resolve();
    // One that was undone has left its room.
    services.queue.pump();
  }
}

async function launch(link: HostLink, spec: LaunchSpec): Promise<HostFacts> {
  const facts = host_facts.parse(await link.request({ type: "launch", spec }));
  link.take_view(facts);
  return facts;
}

function new_agent(services: Services, task: Task, request: DeployPlan, parent: AgentRecord | null): AgentRecord {
  const now = new Date(services.clock.wall_ms());
  const prompt = request.prompt ?? "";
  let id = new_agent_id(request.type, now);
  const is_taken = (short: string) => services.registry.is_taken(short) || services.spares.owns(short);
  while (is_taken(short_agent_id(id))) id = new_agent_id(request.type, now);
  return agent_record.parse({
    id,
    type: request.type,
    tmux_session: session_name(id),
    parent: parent?.id ?? "orchestrator",
    depth: (parent?.depth ?? 0) + 1,
    status: "deploying",
    started_at: now.toISOString(),
    last_update: now.toISOString(),
    prompt: excerpt(prompt),
    tracked_files: tracked_files_of(task.dir, id, request.stdout === "pipe", request.mcp),
    command: request.command,
    profile: request.profile ?? null,
    cwd: request.cwd,
    mode: request.mode,
    stdout: request.stdout,
    grace_ms: request.grace_ms,
    cleanup: request.cleanup,
    cookie: randomBytes(16).toString("hex"),
    limits: limits_of(request),
    log_limit: request.log_limit,
    task_id: task.task_id,
  });
}

const limits_of = ({ memory_max, pids_max, cpu_max }: DeployRequest): Limits => ({
  memory_max: memory_max ?? null,
  pids_max: pids_max ?? null,
  cpu_max: cpu_max ?? null,
});

/** Cut in the middle of a character, or given half of one, text is not JSON for every reader: Buffer mends it. */
function excerpt(prompt: string): string {
  const text = prompt.length > PROMPT_EXCERPT ? `${prompt.slice(0, PROMPT_EXCERPT)}...` : prompt;
  return Buffer.from(text).toString();
}

function launch_spec(services: Services, task: Task, agent: AgentRecord, request: DeployPlan): LaunchSpec {
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

async function write_new(path: string, text: string): Promise<void> {
  const file = await open_in_place(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function remove_session(services: Services, agent: AgentRecord): Promise<void> {
  const session = agent.tmux_session as string;
  const files = [host_socket(services.runtime_dir, agent.id), host_stderr(services.runtime_dir, agent.id)];
  const killed = await kill_session(services.tmux, session);
  await Promise.all(files.map((path) => rm(path, { force: true })));
  // A frozen server starts the session when it goes on, and the host in it makes its files again.
  if (killed === "unknown") services.panes.end_later({ session, files });
}

/** Refuses a directory or a program that is not there, before anything is made. */
async function check_program(request: DeployPlan): Promise<void> {
  const { cwd } = request;
  if (!isAbsolute(cwd)) throw new SupervisorError("invalid_request", `cwd must be an absolute path, not '${cwd}'`);
  if (OUTSIDE.stuck) throw no_answer(cwd, "an earlier deploy still waits for its directory; nothing was started");
  await within(
    OUTSIDE.in_turn(() => check_places(request)),
    () => no_answer(cwd, "or that of a directory on the agent's PATH; nothing was started"),
  );
}

async function check_places(request: DeployPlan): Promise<void> {
  const { command, cwd, env } = request;
  const directory = await stat(cwd).catch((error) => {
    if (is_errno(error, "ENOENT", "ENOTDIR")) return null;
    throw new SupervisorError(
      "directory_not_found",
      `${cwd} cannot be looked at (${trouble(error)}); give the agent a directory that it can be in with --cwd`,
    );
  });
  if (!directory?.isDirectory())
    throw new SupervisorError(
      "directory_not_found",
      `${cwd} is not a directory; give the agent one that exists with --cwd`,
    );
  const program = command[0] as string;
  const places = program.includes("/")
    ? [join(isAbsolute(program) ? "/" : cwd, program)]
    : (env.PATH ?? "/usr/local/bin:/usr/bin:/bin")
        .split(delimiter)
        .map((dir) => join(isAbsolute(dir) ? dir : join(cwd, dir), program));
  for (const place of places) if (await is_program(place)) return;
  throw new SupervisorError(
    "program_not_found",
    program.includes("/")
      ? `${program} cannot be run; is the path right, and the file executable?`
      : (missing_program(request, program) ??
          `no program '${program}' on the PATH; install it, or give its full path after --`),
  );
}

async function is_program(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
