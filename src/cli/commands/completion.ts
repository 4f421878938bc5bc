/** `supervisor completion bash|zsh|fish`: scripts made from the program's own commands and options, so that they cannot go stale. */
import { Argument, type Command } from "commander";
import { print } from "../output.ts";

export function completion_command(program: Command): void {
  program
    .command("completion")
    .description("a completion script for your shell: source <(supervisor completion bash)")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .action((shell: "bash" | "zsh" | "fish") => print(SCRIPTS[shell](program)));
}

const words_of = (command: Command) =>
  [...command.commands.map((one) => one.name()), ...command.options.flatMap((one) => one.long ?? [])].join(" ");
const cases = (program: Command) =>
  program.commands.map((one) => `      ${one.name()}) words="${words_of(one)}" ;;`).join("\n");

/** Agents are completed by what is running, profiles by what the supervisor knows; that is asked only where an agent may stand. */
const SCRIPTS = {
  bash: (program: Command) => `_supervisor() {
  local words current="\${COMP_WORDS[COMP_CWORD]}"
  words="${words_of(program)}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "\${COMP_WORDS[1]}" in
${cases(program)}
    esac
    case "\${COMP_WORDS[1]} $current" in
      status\\ [!-]*|logs\\ [!-]*|attach\\ [!-]*|send\\ [!-]*|wait\\ [!-]*|kill\\ [!-]*|status\\ |logs\\ |attach\\ |send\\ |wait\\ |kill\\ )
        words="$words $(supervisor ps --json 2>/dev/null | tr ',{' '\\n\\n' | sed -n 's/^"id":"\\([A-Za-z0-9_-]*\\)"$/\\1/p')" ;;
    esac
    case "\${COMP_WORDS[COMP_CWORD-1]}" in
      --profile|show)
        words="$(supervisor profiles --json 2>/dev/null | tr ',{' '\\n\\n' | sed -n 's/^"name":"\\([A-Za-z0-9._-]*\\)"$/\\1/p')" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _supervisor supervisor`,
  zsh: (program: Command) => `#compdef supervisor
autoload -U +X bashcompinit && bashcompinit
${SCRIPTS.bash(program)}`,
  fish: (program: Command): string =>
    [
      "complete -c supervisor -f",
      ...program.commands.map(
        (one) =>
          `complete -c supervisor -n __fish_use_subcommand -a ${one.name()} -d '${one.description().replaceAll("'", "")}'`,
      ),
      ...program.commands.flatMap((one) =>
        one.options.map(
          (option) =>
            `complete -c supervisor -n '__fish_seen_subcommand_from ${one.name()}' -l ${option.long?.slice(2)}`,
        ),
      ),
    ].join("\n"),
};
