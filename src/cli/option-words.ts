/** The supervisor's errors name the fields of a request; whoever typed a command is told of its options and arguments instead. Pure. */
import type { Command, Option } from "commander";
import type { ErrorCode } from "../contract/errors.ts";

/** Fields whose option has another name. The rest are named alike, with a unit behind the field's (`grace_ms` is `--grace`). */
const OTHERWISE: Readonly<Record<string, string>> = { tail: "lines", finding_type: "type" };

/** Errors that are about what was asked for. */
const ABOUT_THE_REQUEST: readonly ErrorCode[] = ["invalid_request", "limits_unavailable"];

/**
 * `cpu_max: must be …` as `--cpu-max: must be …`, `env.A: …` as `--env A: …`, `agent: …` as `AGENT: …`; `cpu_max` in a sentence as `--cpu-max`. What is
 * about no option of the command stays as it is.
 */
export function in_option_words(message: string, code: ErrorCode, command: Command): string {
  if (!ABOUT_THE_REQUEST.includes(code)) return message;
  const begun = beginning_in_option_words(message, command);
  return begun.replace(
    /(?<![\w'./-])[a-z]+(?:_[a-z]+)+(?![\w'./-])/g,
    (word) => command.options.find((one) => name_of(one) === word)?.long ?? word,
  );
}

function beginning_in_option_words(message: string, command: Command): string {
  const [whole, field, , rest] = /^([a-z_]+)(\.([^:]{1,200}))?: /.exec(message) ?? [];
  if (whole === undefined || field === undefined) return message;
  const option = option_of(OTHERWISE[field] ?? field, command);
  // `kill AGENT…` takes several; what is said is about one of them.
  const is_argument = command.registeredArguments.some(
    (one) => one.name() === field || (one.variadic && one.name() === `${field}s`),
  );
  const said = option?.long ?? (is_argument ? field.toUpperCase() : undefined);
  if (said === undefined) return message;
  // A place in a list says nothing to who gave a command line.
  const part = rest === undefined || /^\d+$/.test(rest) ? "" : ` ${rest}`;
  return `${said}${part}: ${message.slice(whole.length)}`;
}

const name_of = (one: Option) => one.name().replaceAll("-", "_");

/** The option that gave a field its value: one that was typed, by the field's own name, or with the longest name that the field begins with. */
function option_of(field: string, command: Command): Option | undefined {
  const typed = (one: Option) => command.getOptionValueSource(one.attributeName()) === "cli";
  const fits = (one: Option) => field === name_of(one) || field.startsWith(`${name_of(one)}_`);
  // The prompt may have come from --prompt-file.
  const gave = (one: Option) => typed(one) && name_of(one).startsWith(`${field}_`);
  const longest = (options: Option[]) => options.sort((a, b) => name_of(b).length - name_of(a).length)[0];
  const fitting = command.options.filter(fits);
  return longest(fitting.filter(typed)) ?? longest(command.options.filter(gave)) ?? longest(fitting);
}
