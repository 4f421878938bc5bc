/** The handlers, complete by the compiler. */
import type { Handlers } from "./handler.ts";
import { attach } from "./handlers/attach.ts";
import { create_task } from "./handlers/create-task.ts";
import { deploy } from "./handlers/deploy.ts";
import { events } from "./handlers/events.ts";
import { finding } from "./handlers/finding.ts";
import { findings } from "./handlers/findings.ts";
import { gc } from "./handlers/gc.ts";
import { get_agent } from "./handlers/get-agent.ts";
import { get_metrics } from "./handlers/get-metrics.ts";
import { get_output } from "./handlers/get-output.ts";
import { get_profile } from "./handlers/get-profile.ts";
import { get_task } from "./handlers/get-task.ts";
import { health } from "./handlers/health.ts";
import { kill } from "./handlers/kill.ts";
import { kill_many } from "./handlers/kill-many.ts";
import { list_agents } from "./handlers/list-agents.ts";
import { list_profiles } from "./handlers/list-profiles.ts";
import { list_tasks } from "./handlers/list-tasks.ts";
import { logs } from "./handlers/logs.ts";
import { metrics } from "./handlers/metrics.ts";
import { progress } from "./handlers/progress.ts";
import { send } from "./handlers/send.ts";
import { set_log_limit } from "./handlers/set-log-limit.ts";
import { stop } from "./handlers/stop.ts";
import { verify } from "./handlers/verify.ts";
import { wait } from "./handlers/wait.ts";

export const HANDLERS: Handlers = {
  health,
  deploy,
  list_agents,
  get_agent,
  logs,
  get_output,
  list_profiles,
  get_profile,
  attach,
  send,
  set_log_limit,
  wait,
  kill,
  kill_many,
  progress,
  finding,
  findings,
  create_task,
  list_tasks,
  get_task,
  verify,
  gc,
  events,
  metrics,
  get_metrics,
  stop,
};
