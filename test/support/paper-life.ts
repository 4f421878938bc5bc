/**
 * The life of an agent on paper: no process, but its files are written, set aside, archived or deleted, and its receipt is made and recorded by the same
 * code as any other's. So thousands of ends fit into seconds.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { type AgentRecord, agent_record, type Ending } from "../../src/contract/agent.ts";
import { new_agent_id, session_name } from "../../src/contract/ids.ts";
import { tracked_files_of } from "../../src/contract/paths.ts";
import { keep_receipt } from "../../src/daemon/ending/archived-receipt.ts";
import { make_receipt } from "../../src/daemon/ending/receipt.ts";
import { remove_files } from "../../src/daemon/ending/remove.ts";
import { set_aside } from "../../src/daemon/ending/set-aside.ts";
import { leave_when_many } from "../../src/daemon/retention/leave.ts";
import type { InProcess } from "./in-process.ts";

const PRINTED = Array.from({ length: 500 }, (_, line) => `${line + 1}\n`).join("");

export async function live_on_paper(one: InProcess, cleanup: "archive" | "delete"): Promise<AgentRecord> {
  const { services } = one.daemon;
  const { registry, clock } = services;
  const task = await registry.default_task();
  const now = new Date(clock.wall_ms());
  const id = new_agent_id("agent", now);
  const tracked_files = tracked_files_of(task.dir, id, false);
  const agent = agent_record.parse({
    id,
    type: "agent",
    tmux_session: session_name(id),
    status: "deploying",
    started_at: now.toISOString(),
    last_update: now.toISOString(),
    prompt: "a short life",
    tracked_files,
    command: ["sh", "-c", "seq 1 500"],
    cwd: "/",
    cleanup,
    cookie: randomBytes(16).toString("hex"),
    task_id: task.task_id,
  });
  await registry.add(task, agent);
  writeFileSync(tracked_files.prompt_file as string, "a short life");
  writeFileSync(tracked_files.log_file as string, PRINTED);
  writeFileSync(tracked_files.deploy_log as string, "{}\n");
  await registry.advance(agent, { type: "launched" });
  const streams = [
    {
      name: "stdout",
      path: tracked_files.log_file as string,
      bytes_read: PRINTED.length,
      bytes_written: PRINTED.length,
      segments: 0,
    },
  ];
  const ending: Ending = {
    cause: "exited",
    reason: "the agent exited",
    requested_at: now.toISOString(),
    cleanup,
    grace_ms: 0,
    step: "set_aside",
    closed: {
      agent_id: id,
      cause: "exited",
      exit: { code: 0, signal: null, at: now.toISOString() },
      signals: [],
      processes_ended: [],
      survivors: [],
      streams,
      duration_ms: {},
      notes: [],
      containment: "cookie",
      oom_kills: 0,
      counted: true,
    },
    session_killed: true,
    result_event: null,
    set_aside: [],
    files_failed: [],
    duration_ms: {},
  };
  await registry.advance(agent, { type: "end_begun", cause: "exited" }, { ending, cleanup_state: "closing" });
  await set_aside(task.dir, agent, ending);
  const verdicts = ending.set_aside.map(({ trash_path }) => ({
    path: trash_path,
    verdict: "clear" as const,
    holders: [],
    reason: null,
  }));
  const files = await remove_files(task.dir, ending, verdicts);
  const ended_at = new Date(clock.wall_ms()).toISOString();
  const receipt = { ...make_receipt(agent, ending, files, "completed", 1, ended_at), outcome: null };
  await registry.advance(
    agent,
    { type: "ended", cause: "exited", exit_code: 0 },
    { receipt, exit: receipt.exit, ended_at, ending: null, cleanup_state: "done" },
  );
  await keep_receipt(services, agent);
  await leave_when_many(services, task);
  return agent;
}
