/**
 * The beginning of an agent: validate, write a durable `deploying` entry and the files, start the session, wait for its host,
 * launch. Nothing ever runs that the registry does not know; a failure at any step undoes the earlier ones and says why.
 */
import { check_limits, plan_groups } from "../../containment/place.ts";
import type { AgentRecord } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import type { DeployRequest } from "../../contract/operations/deploy.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { all_of } from "../all-of.ts";
import { type DeployPlan, plan_deploy } from "../profiles/plan.ts";
import type { Registry } from "../registry/registry.ts";
import type { Task } from "../registry/task.ts";
import type { Services } from "../services.ts";
import type { Deploying } from "./deploying.ts";
import { write_files } from "./files.ts";
import { ask_for_spare, host_from_spare } from "./host.ts";
import { limits_of, new_agent } from "./new-agent.ts";
import { check_program } from "./places.ts";
import { see_through } from "./see-through.ts";
import { start } from "./start.ts";

/** Begins an agent. Resolves when it runs (or has already ended again), or when it waits for room; rejects with everything undone. */
export async function deploy(services: Services, asked: DeployRequest): Promise<AgentRecord> {
  const request = plan_deploy(services.profiles, services.config.logs, asked);
  services.spares.prepare();
  await all_of([check_program(request), services.queue.require_floors()]);
  check_limits(services.containment, limits_of(request));
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
    const host = ask_for_spare(run);
    const now = new Date().toISOString();
    const queue = agent.queue && { ...agent.queue, admitted_at: now };
    await registry.advance(agent, { type: "admitted" }, { queue, started_at: now, cgroups: agent.cgroups, ...host });
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
  if (agent.status !== "queued") Object.assign(agent, ask_for_spare(run));
  await registry.add(task, agent);
  crash_point("deploy.registered");
}
