/** `supervisor start`: the daemon in the foreground. */
import { type Command, Option } from "commander";
import pino from "pino";
import pretty from "pino-pretty";
import { base_environment, runtime_base } from "../../config.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { start_daemon } from "../../daemon/run.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

export function start_command(program: Command, context: Context): void {
  program
    .command("start")
    .description("run the supervisor in the foreground; Ctrl-C stops it and leaves the agents running")
    .option("--stop-agents", "when stopping, end all agents too", false)
    .addOption(
      new Option("--log-level <level>", "what is logged on stderr")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .action(async (options: { stopAgents: boolean; logLevel: string }) => {
      const level = { level: options.logLevel };
      const log = process.stderr.isTTY
        ? pino(level, pretty({ destination: 2, ignore: "pid,hostname", sync: true }))
        : pino(level, pino.destination({ dest: 2, sync: true }));
      const signalled = new Promise<null>((resolve) => {
        for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(null));
      });
      const daemon = await start_daemon({
        workspace: context.workspace(),
        runtime_base: runtime_base(context.env),
        base_env: base_environment(context.env),
        log,
      });
      if (context.json())
        print_json({ event: "ready", pid: daemon.pid, socket: daemon.socket, workspace: daemon.workspace });
      else
        print(
          `supervisor is ready for ${daemon.workspace} (pid ${daemon.pid}${daemon.adopted > 0 ? `, ${daemon.adopted} agents adopted` : ""}). Next, in another terminal: supervisor deploy --prompt "hello" -- cat`,
        );
      const lost = await Promise.race([signalled, daemon.stop_requested]);
      await daemon.stop({ agents: options.stopAgents });
      const left = daemon.running();
      if (!context.json())
        print(
          left > 0
            ? `supervisor stopped; ${left} agents go on, and the next 'supervisor start' adopts them.`
            : "supervisor stopped; no agents are running.",
        );
      if (lost) throw new SupervisorError("daemon_gone", lost);
      context.exit_code(0);
    });
}
