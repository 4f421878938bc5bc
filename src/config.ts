/** What the environment says, read in one place. */
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { ConfigPlace } from "./contract/config.ts";
import { SupervisorError } from "./contract/errors.ts";
import { DEFAULT_WORKSPACE } from "./contract/paths.ts";
import { type Crash, parse_crash } from "./faults/crash-point.ts";

export type Verification = "auto" | "proc" | "lsof";
export type Environment = Record<string, string | undefined>;

/**
 * The workspace: as asked for, else SUPERVISOR_WORKSPACE, else `.agent-workspace` here. Absolute. An empty variable counts as not set; an empty
 * option (`--workspace "$UNSET"`) throws `invalid_request`: taken as a path it would be the current directory.
 */
export function workspace_of(option: string | undefined, env: Environment, cwd: string): string {
  if (option === "")
    throw new SupervisorError("invalid_request", "--workspace must not be empty; give a directory, or leave it out");
  return resolve(cwd, option ?? (env.SUPERVISOR_WORKSPACE || DEFAULT_WORKSPACE));
}

/** SUPERVISOR_CRASH_AT=NAME:FILE, for tests alone: where to die (docs/faults.md). Null when it is not set. */
export function crash_of(env: Environment): Crash | null {
  const text = env.SUPERVISOR_CRASH_AT;
  if (!text) return null;
  const crash = parse_crash(text);
  if (!crash)
    throw new SupervisorError(
      "invalid_request",
      `SUPERVISOR_CRASH_AT is '${text}', which is not NAME:FILE with a name of docs/faults.md; unset it`,
    );
  return crash;
}

/** Where config files are looked for, the weightiest first: the workspace's project, that is the directory above it; then the user's own. */
export function config_places(workspace: string, env: Environment): ConfigPlace[] {
  const places = [{ dir: dirname(workspace), name: "supervisor.config" }];
  // Relative paths are to be ignored there, says the XDG base directory specification.
  const given = env.XDG_CONFIG_HOME;
  const home = given && isAbsolute(given) ? given : env.HOME ? join(env.HOME, ".config") : null;
  return home ? [...places, { dir: join(home, "supervisor"), name: "config" }] : places;
}

/** What of the environment `config_places` looks at. */
export function config_environment(env: Environment): Record<string, string> {
  return Object.fromEntries(
    ["HOME", "XDG_CONFIG_HOME"].flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
}

/** Where private runtime directories are made: XDG_RUNTIME_DIR, else the temp dir. */
export function runtime_base(env: Environment): string {
  return env.XDG_RUNTIME_DIR || tmpdir();
}

/** How agents' processes are kept together: `cookie` goes without control groups; anything else takes them where they can be had. */
export function containment_setting(env: Environment): "auto" | "cookie" {
  return env.SUPERVISOR_CONTAINMENT === "cookie" ? "cookie" : "auto";
}

/**
 * How it is found out who holds a file: `lsof` has lsof over everything decide; `proc` looks through /proc first; anything else asks the kernel for leases as well, where they
 * can be had.
 */
export function verification_setting(env: Environment): Verification {
  const setting = env.SUPERVISOR_VERIFICATION;
  return setting === "lsof" || setting === "proc" ? setting : "auto";
}

/** What the tmux server and the hosts get of the environment: enough to run, and no secret. */
export function base_environment(env: Environment): Record<string, string> {
  const kept: Record<string, string> = {
    PATH: env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
    TERM: "xterm-256color",
    SHELL: "/bin/sh",
  };
  for (const name of ["HOME", "LANG", "LC_ALL", "USER", "TZ"]) {
    const value = env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/** What a caller hands on to agents: its environment. What of it is not for them is left out by the daemon (daemon/profiles/plan), for every kind of client. */
export function callers_environment(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
