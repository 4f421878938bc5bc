/** A deploy as it was asked for, with the profile's part of it: everything said, nothing left to a default. */

import type { SupervisorConfig } from "../../contract/config.ts";
import { SupervisorError } from "../../contract/errors.ts";
import type { LogLimit } from "../../contract/log-limit.ts";
import type { DeployRequest } from "../../contract/operations/deploy.ts";
import type { Profile } from "../../contract/profile.ts";
import { find_profile, type Profiles } from "./profiles.ts";

export interface DeployPlan extends DeployRequest {
  /** As it is recorded: where the prompt is an argument, its place is named and its text is not there. */
  command: string[];
  type: string;
  mode: Profile["mode"];
  stdout: Profile["stdout"];
  grace_ms: number;
  cleanup: Profile["cleanup"];
  log_limit: LogLimit;
  profile_of: Profile | null;
}

/** Linux takes no longer argument: MAX_ARG_STRLEN, 32 pages, with the final NUL (execve(2)). In bytes. */
const ARGUMENT_BYTES = 32 * 4096 - 1;

/** Throws `profile_not_found`, or `invalid_request` for what does not go together. */
export function plan_deploy(profiles: Profiles, logs: SupervisorConfig["logs"], request: DeployRequest): DeployPlan {
  const profile = request.profile === undefined ? null : find_profile(profiles, request.profile);
  const callers = inheritable(request.caller_env);
  const inherited = request.clean_env ? picked(callers, profile?.pass_env ?? []) : callers;
  return {
    ...request,
    command: profile ? profile_command(profile, request) : plain_command(request),
    env: { ...inherited, ...profile?.env, ...request.env },
    type: request.type ?? profile?.type ?? "agent",
    mode: request.mode ?? profile?.mode ?? "headless",
    stdout: request.stdout ?? profile?.stdout ?? "pty",
    grace_ms: request.grace_ms ?? profile?.grace_ms ?? 5000,
    cleanup: request.cleanup ?? profile?.cleanup ?? "archive",
    log_limit: { max_bytes: request.log_max_bytes ?? logs.max_bytes, full: request.log_full ?? logs.full },
    profile_of: profile,
  };
}

function plain_command(request: DeployRequest): string[] {
  if (request.resume !== undefined) refuse("resume needs a profile that knows how");
  if (request.command === undefined)
    refuse("give the agent's command after --, or a profile ('supervisor profiles' shows them)");
  return [...(request.command as string[]), ...request.args];
}

function profile_command(profile: Profile, request: DeployRequest): string[] {
  const { name, command, args, mcp_args, resume_args, prompt_args } = profile;
  if (request.command !== undefined)
    refuse(`give a command or a profile, not both; arguments for the profile's own program are args`);
  if (request.args[0] === command)
    refuse(`what stands after -- is appended to '${name}'s own command: leave out '${command}'`);
  const { resume, prompt = "" } = request;
  if (resume !== undefined && resume_args.length === 0)
    refuse(`the profile '${name}' does not know how to resume a session`);
  if (profile.prompt === "argument") {
    if (prompt.includes("\0")) refuse("prompt: must not contain a NUL byte, because it becomes an argument");
    if (Buffer.byteLength(prompt) > ARGUMENT_BYTES)
      refuse(
        `prompt: may have ${ARGUMENT_BYTES} bytes, because it becomes an argument; use a profile with another prompt`,
      );
  }
  const resumed = resume === undefined ? [] : resume_args.map((one) => one.replaceAll("{session}", () => resume));
  return [command, ...(request.mcp ? mcp_args : []), ...args, ...request.args, ...resumed, ...prompt_args];
}

/** The command as it is run. Only the profile's own prompt arguments are filled in, never what somebody wrote. */
export function launch_command(
  { command, profile_of, mcp, prompt = "" }: DeployPlan,
  prompt_file: string,
  mcp_config: string | undefined,
): string[] {
  const first = mcp && mcp_config !== undefined ? (profile_of?.mcp_args.length ?? 0) : 0;
  const last = profile_of?.prompt_args.length ?? 0;
  const fill = (text: string) =>
    text.replace(/\{prompt(_file)?\}/g, (_all, file: string | undefined) => (file ? prompt_file : prompt));
  return command.map((one, index) => {
    if (index >= command.length - last) return fill(one);
    if (index > 0 && index <= first) return one.replaceAll("{mcp_config}", () => mcp_config as string);
    return one;
  });
}

/** What the agent's stdin is: the prompt, unless its profile hands it over in another way. */
export const stdin_file = ({ profile_of }: DeployPlan, prompt_file: string) =>
  profile_of && profile_of.prompt !== "stdin" ? "/dev/null" : prompt_file;

/** What to do when the program is missing. */
export function missing_program({ profile_of }: DeployPlan, program: string): string | null {
  if (!profile_of) return null;
  const how = profile_of.install ? `install it (${profile_of.install}), or ` : "";
  return `the profile '${profile_of.name}' runs '${program}', which is not on the PATH; ${how}set profiles.${profile_of.name}.command in supervisor.config.yaml and restart the supervisor`;
}

/** They describe the caller's terminal, which is not the agent's. Given explicitly (`env`), they are passed on. */
const CALLERS_TERMINAL = ["TERM", "TMUX", "TMUX_PANE", "STY", "COLUMNS", "LINES"];

/** Whoever deploys (the command, an MCP server, a program): its terminal, and what makes it an agent, are its own. */
const inheritable = (env: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("SUPERVISOR_") && !CALLERS_TERMINAL.includes(name)),
  );

const picked = (env: Record<string, string>, names: string[]) =>
  Object.fromEntries(Object.entries(env).filter(([name]) => names.includes(name)));

function refuse(message: string): never {
  throw new SupervisorError("invalid_request", message);
}
