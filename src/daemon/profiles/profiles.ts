/** All profiles: the shipped ones, with what the config files say over them. */
import { SupervisorError } from "../../contract/errors.ts";
import { AGENT_TYPE_PATTERN } from "../../contract/ids.ts";
import type { Profile, ProfileSettings, ProfileView } from "../../contract/profile.ts";
import type { LoadedConfig } from "../config/load.ts";
import { suggestion } from "../config/parse.ts";
import { SHIPPED_PROFILES } from "./shipped.ts";

export type Profiles = ReadonlyMap<string, Profile>;

/** Throws `config_invalid` for a profile that cannot work. */
export function make_profiles({ config, files }: LoadedConfig): Profiles {
  const names = new Set([...Object.keys(SHIPPED_PROFILES), ...Object.keys(config.profiles)]);
  const profiles = [...names].map((name) => {
    const shipped = Object.hasOwn(SHIPPED_PROFILES, name) ? SHIPPED_PROFILES[name] : undefined;
    const said_in = files
      .filter(({ value }) => Object.hasOwn((value.profiles ?? {}) as object, name))
      .map((one) => one.path);
    return complete(name, { ...shipped, ...config.profiles[name] }, [...said_in, ...(shipped ? ["shipped"] : [])]);
  });
  return new Map(profiles.map((one) => [one.name, one]));
}

function complete(name: string, said: ProfileSettings, sources: string[]): Profile {
  const fail = (what: string): never => {
    throw new SupervisorError("config_invalid", `${sources[0]}: profiles.${name}${what}`);
  };
  const prompt = said.prompt ?? "stdin";
  const prompt_args = said.prompt_args ?? [];
  const has = (args: string[], placeholder: string) => args.some((one) => one.includes(placeholder));
  if (prompt !== "stdin") {
    const needed = prompt === "argument" ? "{prompt}" : "{prompt_file}";
    if (!has(prompt_args, needed)) fail(`.prompt_args: must have ${needed}, because prompt is '${prompt}'`);
  }
  if (prompt !== "argument" && has(prompt_args, "{prompt}"))
    fail(".prompt_args: has {prompt}, but prompt is not 'argument'");
  if (said.resume_args && said.resume_args.length > 0 && !has(said.resume_args, "{session}"))
    fail(".resume_args: must have {session}");
  if (said.mcp_args && said.mcp_args.length > 0 && !has(said.mcp_args, "{mcp_config}"))
    fail(".mcp_args: must have {mcp_config}");
  return {
    name,
    sources,
    description: said.description ?? "",
    command: said.command ?? fail(": has no command, and no shipped profile has that name"),
    args: said.args ?? [],
    prompt,
    prompt_args,
    mcp_args: said.mcp_args ?? [],
    resume_args: said.resume_args ?? [],
    env: said.env ?? {},
    pass_env: said.pass_env ?? [],
    stdout: said.stdout ?? "pty",
    mode: said.mode ?? "headless",
    type: said.type ?? (AGENT_TYPE_PATTERN.test(name) ? name : "agent"),
    grace_ms: said.grace_ms ?? 5000,
    cleanup: said.cleanup ?? "archive",
    result_event: said.result_event ?? { completed: [], failed: [] },
    install: said.install ?? null,
  };
}

/** Throws `profile_not_found`, with the name that was probably meant. */
export function find_profile(profiles: Profiles, name: string): Profile {
  const found = profiles.get(name);
  if (found) return found;
  throw new SupervisorError(
    "profile_not_found",
    `no profile '${name}'; ${suggestion(name, [...profiles.keys()])} ('supervisor profiles' shows them)`,
  );
}

/** Without the values of its variables, which may be secrets. */
export const view_of = (profile: Profile): ProfileView => ({ ...profile, env: Object.keys(profile.env) });
