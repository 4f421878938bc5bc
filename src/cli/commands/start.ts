/** `supervisor start`: the daemon in the foreground. What the daemon needs is loaded only here. */
import { writeFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import {
  base_environment,
  config_places,
  containment_setting,
  crash_of,
  runtime_base,
  verification_setting,
} from "../../config.ts";
import { deferred } from "../../contract/deferred.ts";
import { message_of, SupervisorError } from "../../contract/errors.ts";
import type { Daemon } from "../../daemon/run.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

/**
 * One press of Ctrl-C can arrive twice: from the terminal, and passed on by `npm start`. A person's second press takes longer. In ms.
 */
const ONE_PRESS_MS = 250;

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
      const { first, second } = stop_signals();
      const over = await Promise.race([second, serve(context, options, first)]);
      if (over !== "at once") return;
      // Crash-only: nothing is cleaned up here, because a start must cope with what a killed daemon leaves anyway.
      throw new SupervisorError(
        "stopped_at_once",
        `stopped at once, before it was done; agents and the ends under way go on with their hosts, and the next 'supervisor start${context.workspace_option()}' takes them up`,
      );
    });
}

/** For whoever started this daemon in a session, where nobody reads what it prints. */
async function leave_reason(path: string, error: unknown): Promise<void> {
  const code = error instanceof SupervisorError ? error.code : "internal";
  await writeFile(path, JSON.stringify({ error: message_of(error), code }), { mode: 0o600 });
}

/**
 * INT, TERM or HUP: the first asks for an orderly stop, a second one does not wait for it. A hang-up is nobody's second press: it also comes
 * when a stop ends the tmux server that this daemon itself runs in.
 */
function stop_signals(): { first: Promise<null>; second: Promise<"at once"> } {
  const first = deferred<null>();
  const second = deferred<"at once">();
  let asked_at: number | null = null;
  const on_signal = (signal: NodeJS.Signals) => {
    asked_at ??= performance.now();
    if (signal !== "SIGHUP" && performance.now() - asked_at > ONE_PRESS_MS) second.resolve("at once");
    first.resolve(null);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, on_signal);
  return { first: first.promise, second: second.promise };
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
