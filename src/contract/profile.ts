/** A profile: how one kind of agent is started, spoken to and understood. Data; the shipped ones stand in daemon/profiles/shipped.ts. */
import { z } from "zod";
import { agent_mode, stdout_kind } from "./agent.ts";
import { AGENT_TYPE_PATTERN } from "./ids.ts";
import { cleanup_policy } from "./receipt.ts";

export const PROFILE_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const no_nul = (text: string) => !text.includes("\0");
const argument = z.string().refine(no_nul, "must not contain a NUL byte");
const variable_name = z
  .string()
  .min(1)
  .refine((name) => no_nul(name) && !name.includes("="), "is not a variable name");

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
/** An event fits when each dotted path in it has the value, or one of the values. */
export const event_condition = z
  .record(z.string(), z.union([scalar, z.array(scalar)]))
  .refine((condition) => Object.keys(condition).length > 0, "must name at least one field");
export type EventCondition = z.infer<typeof event_condition>;

export const result_event = z.strictObject({
  completed: z.array(event_condition).default([]).describe("events that say the work is done"),
  failed: z.array(event_condition).default([]).describe("events that say it failed; looked at first"),
});
export type ResultEvent = z.infer<typeof result_event>;

/** What a config file may say of a profile. All optional: what it does not say comes from a file of less weight, or from the shipped one. */
export const profile_settings = z.strictObject({
  description: z.string().optional().describe("what it is, for `supervisor profiles`"),
  command: argument.min(1).optional().describe("the program: a name on the caller's PATH, or a path"),
  args: z.array(argument).optional().describe("its arguments; those after `--` are appended"),
  prompt: z
    .enum(["stdin", "argument", "file"])
    .optional()
    .describe(
      "how it gets the prompt: on stdin, as an argument (which every user of the machine can read), or as a file's name",
    ),
  prompt_args: z
    .array(argument)
    .optional()
    .describe("its last arguments; `{prompt}` becomes the prompt, `{prompt_file}` the file that has it"),
  mcp_args: z
    .array(argument)
    .optional()
    .describe("its first arguments with `--mcp`; `{mcp_config}` becomes the file that connects it to this supervisor"),
  resume_args: z
    .array(argument)
    .optional()
    .describe("the arguments for `--resume`, before prompt_args; `{session}` becomes the session"),
  env: z
    .record(variable_name, argument)
    .optional()
    .describe("variables for it, over the caller's and under `--env`; never stored or shown"),
  pass_env: z
    .array(variable_name)
    .optional()
    .describe("the caller's variables that it gets even with `--clean-env`, by name"),
  stdout: stdout_kind.optional().describe("`pty` or `pipe`: where its stdout goes"),
  mode: agent_mode.optional().describe("`headless` or `interactive`"),
  type: z
    .string()
    .regex(AGENT_TYPE_PATTERN, "must be 1 to 64 letters, digits, '_' or '-', beginning with a letter or digit")
    .optional()
    .describe("the type of its agents, where `--type` says nothing (default: the profile's name, if it can be one)"),
  grace_ms: z.int().min(0).max(3_600_000).optional().describe("how long it may take to end after TERM"),
  cleanup: cleanup_policy.optional().describe("`delete`, `archive` or `keep`: its files when it ends by itself"),
  result_event: result_event
    .optional()
    .describe("how its stream says that it is done; decides where the exit code is 0"),
  install: z.string().optional().describe("what is said when the program is missing"),
});
export type ProfileSettings = z.infer<typeof profile_settings>;

/** A profile with everything said. `sources`: `shipped`, and the files that say something of it, the weightiest first. */
export const profile = profile_settings
  .required()
  .extend({ name: z.string(), sources: z.array(z.string()), install: z.string().nullable(), description: z.string() });
export type Profile = z.infer<typeof profile>;

/** A profile as it is shown: the names of its variables, not their values. */
export const profile_view = profile.extend({ env: z.array(z.string()) });
export type ProfileView = z.infer<typeof profile_view>;
