/**
 * Hosts that no registry knows: its entry was lost, with the registry or without. A host remembers the entry of its agent as it was at
 * the launch; when it proves to be ours, that entry is put back, into the agent's own task, and the agent is taken up like any
 * other. The scan is of the private runtime directory alone, and by the names that only hosts' sockets have.
 */
import { readdir, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import { COOKIE_VARIABLE } from "../containment/family.ts";
import { type AgentRecord, agent_record } from "../contract/agent.ts";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import type { HostFacts } from "../contract/host-protocol.ts";
import { AGENT_ID_PATTERN, short_agent_id, TASK_ID_PATTERN } from "../contract/ids.ts";
import { HOST_SOCKET, host_socket, task_dir, tracked_files_of } from "../contract/paths.ts";
import { read_in_place } from "../drivers/in-place.ts";
import { arguments_of, boot_id, read_process, was_started_with } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import { is_unfinished } from "./ending/end.ts";
import { HostLink } from "./host-link.ts";
import { within } from "./patience.ts";
import type { Services } from "./services.ts";
import { doubt } from "./trust.ts";

/** As long as a start may take for it. In ms. */
const ANSWER_MS = 1_000;

/** Asks every unknown host, registers its agent, and has it taken up. Resolves when all have answered or did not in time; never rejects. */
export async function take_in_unknown_hosts(services: Services): Promise<void> {
  const { registry, runtime_dir } = services;
  const known = new Set(registry.agents().map((agent) => agent.host?.socket ?? host_socket(runtime_dir, agent.id)));
  const sockets = (await readdir(runtime_dir))
    .filter((name) => HOST_SOCKET.test(name))
    .map((name) => join(runtime_dir, name));
  const unknown = sockets.filter((path) => !known.has(path));
  await Promise.all(unknown.map((path) => take_in(services, path).catch((error) => tell(services, path, error))));
}

function tell({ log, events }: Services, path: string, error: unknown): void {
  const message = `${path} is a host that no registry knows, and it could not be taken in: ${message_of(error)}`;
  log.warn(message);
  events.emit({ type: "warning", agent_id: null, message });
}

async function take_in(services: Services, socket: string): Promise<void> {
  let link: HostLink;
  try {
    link = await HostLink.connect("an unknown agent", socket, () => {});
  } catch (error) {
    // A host's socket appears when it accepts: one that refuses belongs to nobody any more.
    if (!is_errno(error, "ECONNREFUSED", "ENOENT")) throw error;
    await Promise.all([socket, `${socket}.out`].map((path) => rm(path, { force: true })));
    return;
  }
  const hello = link.hello(null);
  const late = new Error(`it did not answer 'hello' in ${ANSWER_MS} ms; it is when it does`);
  const facts = await within(hello, () => late, ANSWER_MS).catch((error) => {
    if (error === late) void when_it_answers(services, socket, link, hello);
    else link.close();
    throw error;
  });
  await take_at_its_word(services, socket, link, facts);
}

/** One that is stopped, or has no turn of the processor, is taken in as soon as it goes on; neither the start nor the end of the daemon waits for it. */
async function when_it_answers(
  services: Services,
  socket: string,
  link: HostLink,
  hello: Promise<HostFacts>,
): Promise<void> {
  const { signal } = services.halted;
  const give_up = () => link.close();
  signal.addEventListener("abort", give_up, { once: true });
  try {
    const facts = await hello;
    if (!signal.aborted) await take_at_its_word(services, socket, link, facts);
  } catch (error) {
    if (!signal.aborted) tell(services, socket, error);
  } finally {
    signal.removeEventListener("abort", give_up);
    link.close();
  }
}

async function take_at_its_word(services: Services, socket: string, link: HostLink, facts: HostFacts): Promise<void> {
  try {
    const agent = await remembered(services, socket, facts);
    if (agent) {
      const task = await services.registry.restore_task(agent.task_id as string);
      // The task's files may have told of it meanwhile.
      if (!task.agents.has(agent.id)) await services.registry.add(task, agent);
      crash_point("reconcile.host_taken_in");
      services.log.warn({ agent_id: agent.id, task_id: task.task_id }, "a host that no registry knew was taken in");
      // By ourselves: on a slow disk the start has gone on, and looks for nobody any more.
      const known = task.agents.get(agent.id);
      if (known && is_unfinished(known)) void services.find_host(known);
    } else await link.request({ type: "stop", cause: "deploy_failed", signal: "SIGTERM", grace_ms: 0 });
  } finally {
    link.close();
  }
}

/** The agent's entry, or null when the host was never given an agent. Rejects when the host cannot be what it says. */
async function remembered(services: Services, socket: string, facts: HostFacts): Promise<AgentRecord | null> {
  const id = facts.agent_id;
  if (!AGENT_ID_PATTERN.test(id) || !socket.endsWith(`${sep}${short_agent_id(id)}.sock`))
    throw new Error(`it says that it is the host of '${id.slice(0, 100)}'`);
  const found = facts.phase === "waiting" ? null : await entry_of(services, id, facts);
  const cookie_entry = found ? `${COOKIE_VARIABLE}=${found.cookie}` : null;
  const doubts = doubt({ id, host: null, process: null, socket, cookie_entry }, facts, {
    process: read_process,
    arguments_of,
    was_started_with,
  });
  if (doubts !== null) throw new Error(doubts);
  return (
    found && {
      ...found,
      status: "deploying",
      host: { ...facts.host, socket, protocol: facts.protocol, boot_id: boot_id() },
      process: facts.process,
      notes: ["its registry entry was lost; it was rebuilt from what its host remembers"],
    }
  );
}

/** By what the host remembers; an old host remembers nothing, but there may be a deploy log. */
async function entry_of(services: Services, id: string, facts: HostFacts): Promise<AgentRecord> {
  const record = facts.record ?? (await deploy_log_of(services, id));
  if (!record) throw new Error(`it is of protocol ${facts.protocol}, remembers no entry, and there is no deploy log`);
  const agent = agent_record.parse({ ...record, id });
  const { task_id } = agent;
  if (typeof task_id !== "string" || !TASK_ID_PATTERN.test(task_id) || agent.cookie === null)
    throw new Error("what it remembers is no entry of ours");
  const dir = task_dir(services.workspace, task_id);
  const strays = Object.values(agent.tracked_files).filter(
    (path) => !path.startsWith(dir + sep) || path.includes(`${sep}..`),
  );
  if (strays.length > 0) throw new Error(`it names files outside ${dir}`);
  const files = { ...tracked_files_of(dir, id, agent.stdout === "pipe"), ...agent.tracked_files };
  return { ...agent, tracked_files: files };
}

async function deploy_log_of(services: Services, id: string): Promise<Record<string, unknown> | null> {
  for (const name of await readdir(services.workspace)) {
    if (!TASK_ID_PATTERN.test(name)) continue;
    const path = tracked_files_of(task_dir(services.workspace, name), id, false).deploy_log as string;
    try {
      return JSON.parse(await read_in_place(path)) as Record<string, unknown>;
    } catch (error) {
      const unusable = error instanceof SyntaxError || error instanceof SupervisorError;
      if (!unusable && !is_errno(error, "ENOENT")) throw error;
    }
  }
  return null;
}
