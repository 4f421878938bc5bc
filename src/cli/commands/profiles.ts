/** `supervisor profiles`: the agents that are known by name. */
import type { Command } from "commander";
import type { ProfileView } from "../../contract/profile.ts";
import type { Context } from "../context.ts";
import { cell, print, print_json, print_table } from "../output.ts";

export function profiles_command(program: Command, context: Context): void {
  const profiles = program.command("profiles").description("agents that are known by name, for deploy --profile");
  profiles
    .command("ls", { isDefault: true })
    .description("all profiles")
    .action(async () => {
      const all = await (await context.client()).call("list_profiles");
      if (context.json()) return print_json(all);
      print_table(
        ["PROFILE", "COMMAND", "PROMPT", "STDOUT", "FROM"],
        all.map((one) => [one.name, cell(command_of(one), 70), one.prompt, one.stdout, one.sources[0] ?? ""]),
      );
    });
  profiles
    .command("show")
    .description("one profile")
    .argument("<profile>")
    .action(async (name: string) => {
      const one = await (await context.client()).call("get_profile", { params: { profile: name } });
      if (context.json()) return print_json(one);
      print(profile_text(one));
    });
}

const command_of = (one: ProfileView) => [one.command, ...one.args, ...one.prompt_args].join(" ");

function profile_text(one: ProfileView): string {
  const { completed, failed } = one.result_event;
  const rows = {
    command: command_of(one),
    prompt: one.prompt,
    resume: one.resume_args.join(" ") || "not known how",
    stdout: one.stdout,
    mode: one.mode,
    type: one.type,
    grace: `${one.grace_ms} ms`,
    cleanup: one.cleanup,
    variables: one.env.join(", ") || "none of its own",
    "passed on": `${one.pass_env.join(", ") || "none"} (with --clean-env)`,
    completed: completed.map((event) => JSON.stringify(event)).join(" or ") || "by its exit code alone",
    failed: failed.map((event) => JSON.stringify(event)).join(" or ") || "by its exit code alone",
    install: one.install ?? "",
    from: one.sources.join(", over "),
  };
  return [
    `${one.name}  ${one.description}`,
    ...Object.entries(rows)
      .filter(([, value]) => value)
      .map(([key, value]) => `  ${key.padEnd(10)} ${value}`),
  ].join("\n");
}
