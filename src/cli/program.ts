/** The `supervisor` command: its options and commands. Commands that need the daemon's code load it only when they are called. */
import { Command, CommanderError } from "commander";
import { discover } from "../client/discover.ts";
import { VERSION } from "../client/table.ts";
import { type Environment, workspace_of } from "../config.ts";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";
import { workspace_option } from "../contract/paths.ts";
import { one_line, printable } from "../contract/printable.ts";
import { attach_command } from "./commands/attach.ts";
import { completion_command } from "./commands/completion.ts";
import { demo_command } from "./commands/demo.ts";
import { deploy_command } from "./commands/deploy.ts";
import { doctor_command } from "./commands/doctor.ts";
import { events_command } from "./commands/events.ts";
import { finding_command } from "./commands/finding.ts";
import { findings_command } from "./commands/findings.ts";
import { gc_command } from "./commands/gc.ts";
import { kill_command } from "./commands/kill.ts";
import { logs_command } from "./commands/logs.ts";
import { mcp_command } from "./commands/mcp.ts";
import { metrics_command } from "./commands/metrics.ts";
import { profiles_command } from "./commands/profiles.ts";
import { progress_command } from "./commands/progress.ts";
import { ps_command } from "./commands/ps.ts";
import { send_command } from "./commands/send.ts";
import { set_command } from "./commands/set.ts";
import { start_command } from "./commands/start.ts";
import { status_command } from "./commands/status.ts";
import { stop_command } from "./commands/stop.ts";
import { task_command } from "./commands/task.ts";
import { verify_command } from "./commands/verify.ts";
import { wait_command } from "./commands/wait.ts";
import type { Context } from "./context.ts";
import { with_near_words } from "./near-words.ts";
import { in_option_words } from "./option-words.ts";
import { print_json } from "./output.ts";

export interface Invocation {
  argv: string[];
  env: Environment;
  cwd: string;
}

/** Runs one command line. Resolves with the exit code; never rejects. */
export async function run_cli({ argv, env, cwd }: Invocation): Promise<number> {
  let exit_code = 0;
  const program = new Command("supervisor");
  const options = () => program.opts<{ workspace?: string; json?: boolean; stack?: boolean }>();
  const context: Context = {
    env,
    cwd,
    workspace: () => workspace_of(options().workspace, env, cwd),
    workspace_option: () => workspace_option(context.workspace(), cwd),
    // An explicit workspace is asked for; the socket in the environment is that of the agent one is in.
    client: () =>
      discover(context.workspace(), cwd, options().workspace ? undefined : env.SUPERVISOR_SOCKET, (text) =>
        process.stderr.write(`supervisor: ${text}\n`),
      ),
    json: () => options().json === true,
    exit_code: (code) => {
      exit_code = code;
    },
  };
  program
    .description("Supervises headless coding agents: lossless logs, proven ends, nothing else touched.")
    .version(VERSION, "-V, --version", "which version this is")
    .option("--workspace <dir>", "where tasks and agents live (default: SUPERVISOR_WORKSPACE or ./.agent-workspace)")
    .option("--json", "one JSON document on stdout")
    .option("--stack", "show where an error came from")
    .exitOverride();
  for (const add of COMMANDS) add(program, context);
  share_global_options(program);
  let running: Command = program;
  program.hook("preAction", (_program, command) => {
    running = command;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return exit_code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    report(error, running, options());
    return error instanceof SupervisorError ? error.exit_code : 1;
  }
}

/** In the order in which the help shows them. */
const COMMANDS = [
  start_command,
  deploy_command,
  ps_command,
  status_command,
  logs_command,
  attach_command,
  send_command,
  set_command,
  wait_command,
  kill_command,
  progress_command,
  finding_command,
  findings_command,
  task_command,
  profiles_command,
  verify_command,
  gc_command,
  events_command,
  metrics_command,
  stop_command,
  mcp_command,
  doctor_command,
  demo_command,
  completion_command,
];

/** `--json` and `--workspace` may stand before or after the command's name. */
function share_global_options(program: Command): void {
  const visit = (command: Command) => {
    command.exitOverride();
    // One line, as every other error: commander puts its suggestion on a second one.
    command.configureOutput({
      outputError: (text, write) => write(`${one_line(told_of(text, command)).replace(/^error: /, "supervisor: ")}\n`),
    });
    for (const child of command.commands) visit(child);
    if (command === program || command.commands.length > 0) return;
    command
      .option("--workspace <dir>", "where tasks and agents live")
      .option("--json", "one JSON document on stdout")
      .option("--stack", "show where an error came from");
    command.hook("preAction", (_this, action) => {
      for (const name of ["workspace", "json", "stack"]) {
        const value = action.getOptionValue(name);
        if (value !== undefined) program.setOptionValue(name, value);
      }
    });
  };
  visit(program);
}

/** `supervisor deploy ls -la`: what looks like an option of ours may be the agent's. */
function told_of(error: string, command: Command): string {
  const near = with_near_words(error, command);
  const foreign = command.name() === "deploy" && /unknown option/.test(near) && !/Did you mean/.test(near);
  if (!foreign) return near;
  return `${error.split("\n")[0]}; the agent's command belongs after '--': supervisor deploy [options] -- COMMAND ARG…`;
}

function report(error: unknown, command: Command, { json, stack }: { json?: boolean; stack?: boolean }): void {
  const code = error instanceof SupervisorError ? error.code : "internal";
  const told = not_installed(error) ?? message_of(error);
  const message = in_option_words(told, code, command);
  if (json) print_json({ success: false, error: message, code });
  process.stderr.write(`supervisor: ${one_line(message)}\n`);
  if (stack && error instanceof Error) process.stderr.write(`${printable(error.stack ?? "")}\n`);
}

/** What is not in the bundles stands beside dist/; a dist/ that was copied alone, or a clone that was not set up, has none. */
function not_installed(error: unknown): string | null {
  if (!is_errno(error, "ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND")) return null;
  const [, name] = /'([^']+)'/.exec(message_of(error)) ?? [];
  return `the package '${name ?? "?"}' is not installed; run 'npm run setup' in the clone that this command comes from (dist/ does not run alone)`;
}
