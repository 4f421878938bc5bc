/** `supervisor start`: the daemon in the foreground. What the daemon needs is loaded only here. */
import { realpath, writeFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import {
  base_environment,
  config_places,
  containment_setting,
  crash_of,
  runtime_base,
  verification_setting,
} from "../../config.ts";
import { message_of, SupervisorError } from "../../contract/errors.ts";
import { ANYWHERE, workspace_option } from "../../contract/paths.ts";
import type { Daemon } from "../../daemon/run.ts";
import { leave_past_pool } from "../../drivers/leave.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";
import { stop_signals } from "../stop-signals.ts";
import { go_on_unheard } from "../streams.ts";

interface Options {
  stopAgents?: boolean;
  logLevel: string;
  failureFile?: string;
}

export function start_command(program: Command, context: Context): void {
  program
    .command("start")
    .description("run the supervisor in the foreground; Ctrl-C stops it and leaves the agents running")
    .option("--stop-agents", "when stopping, end all agents too")
    .addOption(
      new Option("--log-level <level>", "what is logged on stderr")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .addOption(new Option("--failure-file <path>", "where to leave the reason if it cannot start").hideHelp())
    .action(async (options: Options) => {
      await refuse_inside_agent(context);
      go_on_unheard();
      const { first, second } = stop_signals();
      try {
        if ((await Promise.race([second, serve(context, options, first)])) !== "at once") return;
      } finally {
        // However dead a file system is, a supervisor that has stopped, or was told to stop at once, is not held up by it.
        await leave_past_pool();
      }
      // Crash-only: nothing is cleaned up here, because a start must cope with what a killed daemon leaves anyway.
      throw new SupervisorError(
        "stopped_at_once",
        `stopped at once, before it was done; agents and the ends under way go on with their hosts, and the next 'supervisor start${context.workspace_option()}' takes them up`,
      );
    });
}

/** What an agent starts is its own, and ends with it: the next kill of that agent would end the supervisor of all. */
async function refuse_inside_agent(context: Context): Promise<void> {
  const { SUPERVISOR_AGENT_ID: agent, SUPERVISOR_WORKSPACE: its_workspace } = context.env;
  if (!agent || !its_workspace) return;
  const asked = await realpath(context.workspace()).catch(() => null /* not there, so not the agent's */);
  if (asked !== its_workspace) return;
  throw new SupervisorError(
    "invalid_request",
    `the supervisor of ${agent} is not started from inside it: it would end with that agent; start it elsewhere with 'supervisor start${workspace_option(its_workspace, ANYWHERE)}'`,
  );
}

/** For whoever started this daemon in a session, where nobody reads what it prints. */
async function leave_reason(path: string, error: unknown): Promise<void> {
  const code = error instanceof SupervisorError ? error.code : "internal";
  await writeFile(path, JSON.stringify({ error: message_of(error), code }), { mode: 0o600 });
}

/** From boot to the end of an orderly stop. */
async function serve(context: Context, options: Options, signalled: Promise<null>): Promise<void> {
  const [{ start_daemon }, { bound_heap_growth }, { daemon_log }] = await Promise.all([
    import("../../daemon/run.ts"),
    import("../daemon-heap.ts"),
    import("../daemon-log.ts"),
  ]);
  bound_heap_growth();
  const log = daemon_log(options.logLevel);
  const daemon = await start_daemon({
    workspace: context.workspace(),
    runtime_base: runtime_base(context.env),
    base_env: base_environment(context.env),
    config_places: config_places(context.workspace(), context.env),
    containment: containment_setting(context.env),
    verification: verification_setting(context.env),
    log,
    crash: crash_of(context.env),
  }).catch(async (error) => {
    if (options.failureFile) await leave_reason(options.failureFile, error);
    throw error;
  });
  say_ready(daemon, context);
  const lost = await Promise.race([
    signalled.then((none) => {
      log.info("stopping: deploys and ends under way are finished first; a second signal stops at once");
      return none;
    }),
    daemon.stop_requested,
  ]);
  await daemon.stop({ agents: options.stopAgents === true });
  const left = daemon.running();
  const next = `the next 'supervisor start${context.workspace_option()}' adopts`;
  if (!context.json())
    print(
      left > 0
        ? `supervisor stopped; ${left === 1 ? `1 agent goes on, and ${next} it` : `${left} agents go on, and ${next} them`}.`
        : "supervisor stopped; no agents are running.",
    );
  if (lost) throw new SupervisorError("daemon_gone", lost);
  context.exit_code(0);
}

function say_ready({ pid, socket, workspace, adopted }: Daemon, context: Context): void {
  if (context.json()) print_json({ event: "ready", pid, socket, workspace });
  else {
    const option = context.workspace_option();
    print(
      `supervisor is ready for ${workspace} (pid ${pid}${adopted > 0 ? `, ${adopted} ${adopted === 1 ? "agent" : "agents"} adopted` : ""}). Next, in another terminal: supervisor logs${option} -f $(supervisor deploy${option} --prompt "hello" -- cat)`,
    );
  }
}
