/** `supervisor deploy`: start an agent with the caller's directory and environment. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text as read_stream } from "node:stream/consumers";
import { type Command, Option } from "commander";
import { CHOICES } from "../../client/table.ts";
import { callers_environment, type Environment } from "../../config.ts";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import type { CallRequest } from "../../contract/operations.ts";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { print, print_json, receipt_text } from "../output.ts";
import { agent_exit_code, decimal, integer, log_size, size, whole_number } from "../values.ts";

interface Options {
  task?: string;
  profile?: string;
  resume?: string;
  type?: string;
  prompt?: string;
  promptFile?: string;
  parent?: string;
  cwd?: string;
  env: string[];
  envFile: string[];
  cleanEnv?: boolean;
  interactive?: boolean;
  stdout?: "pty" | "pipe";
  grace?: number;
  cleanup?: "delete" | "archive" | "keep";
  mcp?: boolean;
  wait?: boolean;
  priority?: number;
  queue: boolean;
  logMax?: number;
  logFull?: "rotate" | "pause";
  memoryMax?: number;
  pidsMax?: number;
  cpuMax?: number;
}

export function deploy_command(program: Command, context: Context): void {
  program
    .command("deploy")
    .description("start an agent")
    .argument("[command...]", "after --: the agent's program and arguments; with --profile, arguments to append")
    .option("--profile <profile>", "an agent that is known by name: 'supervisor profiles' shows them")
    .option("--resume <session>", "go on with a session of the profile's program")
    .option("--task <task>", "the task it belongs to (default: the caller's, else a common one)")
    .option("--type <type>", "what kind of agent; becomes part of its id (default: agent, or the profile's)")
    .option("--prompt <text>", "its prompt: its stdin, and SUPERVISOR_PROMPT_FILE")
    .option("--prompt-file <file>", "the prompt from a file, or - for stdin")
    .option("--parent <agent>", "the agent that it works for")
    .option("--cwd <dir>", "where it runs (default: here)")
    .option("--env <NAME[=VALUE]>", "a variable for it; NAME alone passes the caller's on", collect, [])
    .option("--env-file <file>", "variables from a file of NAME=VALUE lines; may be given again", collect, [])
    .option("--clean-env", "start from an empty environment instead of the caller's")
    .option("--interactive", "a normal terminal instead of a byte-exact one")
    .addOption(
      new Option(
        "--stdout <kind>",
        "where its stdout goes: its terminal, or a pipe (default: pty, or the profile's)",
      ).choices(CHOICES.stdout_kind),
    )
    .option("--grace <ms>", "how long it may take to end after TERM (default: 5000, or the profile's)", whole_number)
    .addOption(
      new Option(
        "--cleanup <policy>",
        "what becomes of its files when it ends by itself (default: archive, or the profile's)",
      ).choices(CHOICES.cleanup_policy),
    )
    .option("--log-max <size>", "at most so much in one log file, such as 100M (default: the config's)", log_size)
    .addOption(
      new Option(
        "--log-full <what>",
        "then begin a new file at a line's end, or make it wait (default: rotate)",
      ).choices(CHOICES.log_full),
    )
    .option("--memory-max <size>", "at most so much memory for all its processes, such as 2G", size)
    .option("--pids-max <count>", "at most so many processes and threads", whole_number)
    .option("--cpu-max <cores>", "at most so many cores' worth of CPU time, such as 1.5", decimal)
    .option("--mcp", "make an MCP configuration that connects it to this supervisor (SUPERVISOR_MCP_CONFIG)")
    .option("--priority <n>", "where it must wait for room: higher goes first", integer)
    .option("--no-queue", "be refused instead of waiting for room")
    .option("--wait", "wait for its end, and exit with its exit code")
    .action(async (command: string[], options: Options) => {
      // Anybody may read a command line. What stood in this one (a value of --env, a prompt) is overwritten, because with --wait it would stand
      // there for as long as the agent runs.
      process.title = "supervisor deploy";
      const client = await context.client();
      const agent = await client.call("deploy", { body: await request_of(command, options, context) });
      if (options.wait)
        say_when_interrupted(`${agent.id} goes on; 'supervisor kill${context.workspace_option()} ${agent.id}' ends it`);
      if (agent.queue_position !== null)
        process.stderr.write(
          `${one_line(`${agent.id} is queued, at place ${agent.queue_position}: ${agent.queue_reason}`)}\n`,
        );
      if (!options.wait) return context.json() ? print_json(agent) : print(agent.id);
      const receipt = await client.call("wait", { params: { agent: agent.id } });
      if (context.json()) print_json(receipt);
      else print(receipt_text(receipt));
      context.exit_code(agent_exit_code(receipt));
    });
}

/** Who breaks a wait off must know whom to look after. The command ends by the signal all the same, as whoever called it expects. */
function say_when_interrupted(what: string): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      process.stderr.write(`${one_line(what)}\n`);
      process.kill(process.pid, signal);
    });
}

const collect = (value: string, all: string[]) => [...all, value];

async function request_of(
  command: string[],
  options: Options,
  context: Context,
): Promise<NonNullable<CallRequest<"deploy">["body"]>> {
  if (options.prompt !== undefined && options.promptFile !== undefined)
    throw new SupervisorError("invalid_request", "give --prompt or --prompt-file, not both");
  return {
    ...(options.profile === undefined ? { command: command.length > 0 ? command : undefined } : { args: command }),
    profile: options.profile,
    resume: options.resume,
    type: options.type,
    task_id: options.task ?? (options.parent ? undefined : context.env.SUPERVISOR_TASK_ID),
    parent: options.parent ?? context.env.SUPERVISOR_AGENT_ID,
    prompt: options.prompt ?? (options.promptFile ? await read_prompt(options.promptFile, context.cwd) : undefined),
    cwd: resolve(context.cwd, options.cwd ?? "."),
    env: await environment_of(options, context),
    caller_env: options.cleanEnv && options.profile === undefined ? {} : callers_environment(context.env),
    clean_env: options.cleanEnv,
    mode: options.interactive ? "interactive" : undefined,
    stdout: options.stdout,
    grace_ms: options.grace,
    cleanup: options.cleanup,
    log_max_bytes: options.logMax,
    log_full: options.logFull,
    memory_max: options.memoryMax,
    pids_max: options.pidsMax,
    cpu_max: options.cpuMax,
    mcp: options.mcp,
    priority: options.priority,
    queue: options.queue,
  };
}

async function read_prompt(file: string, cwd: string): Promise<string> {
  if (file === "-") return read_stream(process.stdin);
  return read_text(resolve(cwd, file), "--prompt-file");
}

async function read_text(path: string, option: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const why = is_errno(error, "ENOENT")
      ? `there is no file ${path}`
      : is_errno(error, "EISDIR")
        ? `${path} is a directory; give a file`
        : message_of(error);
    throw new SupervisorError("invalid_request", `${option}: ${why}`);
  }
}

async function environment_of(options: Options, context: Context): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  // A later file adds to an earlier one, and its values count.
  for (const file of options.envFile) {
    const lines = (await read_text(resolve(context.cwd, file), "--env-file")).split("\n");
    for (const [index, text] of lines.entries()) {
      // A file that shells read too says `export NAME=VALUE`. No name of a variable has a blank in it.
      const line = text.trim().replace(/^export\s+/, "");
      // By its number: a line that is no variable may be the second of a secret that has several.
      if (line && !line.startsWith("#")) assign(env, line, context.env, `--env-file line ${index + 1}`);
    }
  }
  for (const entry of options.env) assign(env, entry, context.env, "--env");
  return env;
}

function assign(env: Record<string, string>, entry: string, caller: Environment, where: string): void {
  const at = entry.indexOf("=");
  const name = at < 0 ? entry : entry.slice(0, at);
  if (!name) throw new SupervisorError("invalid_request", `${where}: give NAME or NAME=VALUE`);
  const value = at < 0 ? caller[name] : entry.slice(at + 1);
  if (value === undefined)
    throw new SupervisorError(
      "invalid_request",
      `${where}${where === "--env" ? ` ${name}` : ""}: the caller has no such variable to pass on; give NAME=VALUE`,
    );
  env[name] = value;
}
