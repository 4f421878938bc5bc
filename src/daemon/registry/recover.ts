/**
 * What a task's files say of agents that its registry does not know, because the registry was lost. A deploy log with a cookie, or
 * an exit record, proves that the agent was ours, and it is then taken up like any other. Files that merely have an agent's
 * name prove nothing: they are listed as an entry of another program, which is ended only when a person names it.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { z } from "zod";
import { type AgentRecord, agent_record } from "../../contract/agent.ts";
import { is_errno, SupervisorError } from "../../contract/errors.ts";
import { AGENT_ID_PATTERN, session_name } from "../../contract/ids.ts";
import { exit_record_path, exits_dir, tracked_files_of, trash_dir } from "../../contract/paths.ts";
import { closed_report } from "../../contract/receipt.ts";
import { open_in_place } from "../../drivers/in-place.ts";

/** The names of an agent's files, by folder; the first group is the agent's id. */
const NAMES: [folder: string, name: RegExp][] = [
  ["", /^agent_prompt_(.+)\.txt$/],
  ["logs", /^deploy_(.+)\.json$/],
  ["logs", /^(.+)_stream\.jsonl$/],
  ["logs", /^(.+)_terminal\.log$/],
  ["progress", /^(.+)_progress\.jsonl$/],
  ["findings", /^(.+)_findings\.jsonl$/],
];
/** What a deploy log says, as far as it is a part of an agent's record. */
const deploy_log = z.looseObject({
  agent_id: z.string(),
  cookie: z.string(),
  tracked_files: z.record(z.string(), z.string()),
});
/** A deploy log holds a command line, which the kernel limits to some megabytes (execve(2)). */
const READ_LIMIT_BYTES = 16 * 1024 * 1024;

const NOTE = "its registry entry was lost; it was rebuilt from the task's files";

/** Every agent that has files here and is not in `known`. */
export async function recover_agents(dir: string, known: ReadonlySet<string>): Promise<AgentRecord[]> {
  const ids = await ids_on_disk(dir);
  const unknown = [...ids].filter((id) => !known.has(id)).sort();
  return Promise.all(unknown.map((id) => recover(dir, id)));
}

async function ids_on_disk(dir: string): Promise<Set<string>> {
  const ids = new Set<string>();
  const take = (id: string | undefined) => {
    if (id !== undefined && AGENT_ID_PATTERN.test(id)) ids.add(id);
  };
  for (const [folder, name] of NAMES) for (const one of await list(join(dir, folder))) take(name.exec(one)?.[1]);
  for (const one of await list(exits_dir(dir))) take(/^(.+)\.json$/.exec(one)?.[1]);
  for (const one of await list(trash_dir(dir))) for (const [, name] of NAMES) take(name.exec(one)?.[1]);
  return ids;
}

async function recover(dir: string, id: string): Promise<AgentRecord> {
  const usual = tracked_files_of(dir, id, true);
  const found = (await Promise.all([join(dir, "logs"), trash_dir(dir)].map(list))).flat();
  const files = tracked_files_of(dir, id, found.includes(basename(usual.terminal_log as string)));
  const base = {
    id,
    type: id.slice(0, -14),
    tmux_session: session_name(id),
    tracked_files: files,
    task_id: basename(dir),
    last_update: new Date().toISOString(),
    notes: [NOTE],
  };
  const log =
    (await read_json(usual.deploy_log as string, deploy_log)) ??
    (await read_json(join(trash_dir(dir), basename(usual.deploy_log as string)), deploy_log));
  if (log?.agent_id === id) {
    const { agent_id: _id, ...said } = log;
    const inside = Object.entries(log.tracked_files).filter(([, path]) => path.startsWith(dir + sep));
    const own = agent_record.safeParse({
      ...said,
      ...base,
      status: "running",
      tracked_files: { ...files, ...Object.fromEntries(inside) },
      // It may have been ended with other wishes, which are lost: what can be kept is kept.
      cleanup: said.cleanup === "keep" ? "keep" : "archive",
    });
    if (own.success) return own.data;
  }
  const report = await read_json(exit_record_path(dir, id), closed_report);
  // An exit record proves that it was ours and that its processes are gone; its cookie is lost, and nobody carries the new one.
  if (report?.agent_id === id)
    return agent_record.parse({ ...base, status: "running", cookie: randomBytes(16).toString("hex") });
  return agent_record.parse({ ...base, status: "unknown" });
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (is_errno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** What a file says, or null when it is not there, or does not say it. Links are not followed. */
async function read_json<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T> | null> {
  try {
    const handle = await open_in_place(path, constants.O_RDONLY);
    try {
      if ((await handle.stat()).size > READ_LIMIT_BYTES) return null;
      const parsed = schema.safeParse(JSON.parse(await handle.readFile("utf8")));
      return parsed.success ? parsed.data : null;
    } finally {
      await handle.close();
    }
  } catch (error) {
    const unusable = error instanceof SyntaxError || error instanceof SupervisorError;
    if (unusable || is_errno(error, "ENOENT", "EACCES")) return null;
    throw error;
  }
}
