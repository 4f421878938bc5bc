/** `supervisor completion bash|zsh|fish`: the script for a shell; and `supervisor complete`, which that script asks at each Tab. */
import { Argument, type Command } from "commander";
import { ask_for, line_of } from "../completion/ask.ts";
import { SCRIPTS } from "../completion/scripts.ts";
import { wanted_at } from "../completion/words.ts";
import type { Context } from "../context.ts";
import { print } from "../output.ts";

export function completion_command(program: Command, context: Context): void {
  program
    .command("completion")
    .description("a completion script for your shell: source <(supervisor completion bash)")
    .addArgument(new Argument("<shell>").choices(Object.keys(SCRIPTS)))
    .action((shell: keyof typeof SCRIPTS) => print(SCRIPTS[shell]));
  program
    .command("complete", { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      const { candidates, kind, lead, typed, workspace } = wanted_at(program, words);
      if (workspace !== undefined) program.setOptionValue("workspace", workspace);
      const asked =
        kind && "ask" in kind
          ? await ask_for(kind.ask, context.client, context.env).catch(
              () => [] /* whatever is the matter: a Tab has nobody to tell it to */,
            )
          : [];
      const lines = [...candidates, ...asked]
        .filter(({ value }) => value.startsWith(typed))
        .map((one) => line_of({ ...one, value: lead + one.value }));
      print([...lines, `:${kind && "shell" in kind ? kind.shell : "none"}`].join("\n"));
    });
}
