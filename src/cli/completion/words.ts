/**
 * What may stand where the cursor is. Pure: it follows the words of a command line through the program's own commands, options and arguments, so
 * that nothing is said twice and nothing can go stale. What a word means is told by its placeholder (`<agent>`, `<file>`): `KINDS`.
 */
import type { Argument, Command, Option } from "commander";

/** Something that is asked for, or that the shell knows better. */
export type Kind =
  | { ask: "living" | "agent" | "task" | "profile" | "variable" }
  | { shell: "file" | "dir" | "command" };

export interface Candidate {
  value: string;
  /** For shells that show it. */
  about: string;
}

export interface Wanted {
  /** The text that the shell replaces begins so, and each value goes after it: `--format=`. */
  lead: string;
  /** What is typed of the word itself. */
  typed: string;
  candidates: Candidate[];
  kind: Kind | null;
  /** Options of the line that say whom to ask. */
  workspace: string | undefined;
}

/** By the placeholder in the help. Commands whose agent must live say so below. */
const KINDS: Readonly<Record<string, Kind>> = {
  agent: { ask: "agent" },
  agents: { ask: "agent" },
  task: { ask: "task" },
  profile: { ask: "profile" },
  "NAME[=VALUE]": { ask: "variable" },
  file: { shell: "file" },
  dir: { shell: "dir" },
};

/** These do nothing to an agent that has ended. */
const FOR_THE_LIVING = new Set(["attach", "send", "set", "kill", "progress", "finding", "deploy"]);

/** Words that are usual where any word is allowed, by placeholder. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  severity: ["low", "medium", "high", "critical"],
  state: ["working", "blocked", "completed", "failed"],
  finding: ["issue", "solution", "insight", "recommendation"],
};

/** `words`: what stands after the program's name, the word at the cursor last (empty when there is none yet). */
export function wanted_at(program: Command, words: readonly string[]): Wanted {
  const before = joined(words.slice(0, -1));
  const [current, lead] = split_value(before, words.at(-1) ?? "");
  let command = program;
  let place = 0;
  let workspace: string | undefined;
  let open: Option | null = null;
  const given = new Set<Option>();
  for (const [index, word] of before.entries()) {
    if (open) {
      if (open.long === "--workspace") workspace = word;
      open = null;
      continue;
    }
    if (word === "--") return beyond(command, before.slice(index + 1), current);
    const [name, value] = word.startsWith("--") && word.includes("=") ? cut(word) : [word, null];
    const option = word.startsWith("-") ? find_option(program, command, name) : undefined;
    if (option) {
      given.add(option);
      if (value !== null && option.long === "--workspace") workspace = value;
      if (value === null && takes_value(option)) open = option;
    } else if (!word.startsWith("-")) {
      const child = place === 0 ? command.commands.find((one) => one.name() === word) : undefined;
      if (child) command = child;
      else place += 1;
    }
  }
  const nothing = { lead, typed: current, candidates: [], kind: null, workspace };
  if (open) return { ...nothing, ...values_of(command, placeholder_of(open), open.argChoices) };
  if (current.startsWith("-")) return { ...nothing, candidates: options_of(program, command, given) };
  const argument = argument_at(command, place);
  if (visible(command).length > 0 && place === 0) return { ...nothing, candidates: visible(command).map(named) };
  const values = argument ? values_of(command, argument.name(), argument.argChoices) : { candidates: [], kind: null };
  if (values.candidates.length > 0 || values.kind !== null) return { ...nothing, ...values };
  // Free text, or nothing at all: the options are what is left to say.
  return { ...nothing, candidates: current === "" ? options_of(program, command, given) : [] };
}

/** After `--`: the agent's own program, and its arguments. */
function beyond(command: Command, before: readonly string[], current: string): Wanted {
  const program = command.name() === "deploy" && before.length === 0;
  const kind: Kind = { shell: program ? "command" : "file" };
  return { lead: "", typed: current, candidates: [], kind, workspace: undefined };
}

/** Bash splits `--format=text` into three words: they are one again. */
function joined(words: readonly string[]): string[] {
  const all: string[] = [];
  for (const word of words) {
    const last = all.at(-1);
    if (word === "=" && last?.startsWith("--")) all[all.length - 1] = `${last}=`;
    else if (last?.startsWith("--") && last.endsWith("=")) all[all.length - 1] = last + word;
    else all.push(word);
  }
  return all;
}

/** The value that is typed, and what of the shell's word stands before it. Takes an option without its value off the words before. */
function split_value(before: string[], current: string): [string, string] {
  const last = before.at(-1);
  if (current === "=" && last?.startsWith("--")) return ["", ""];
  if (last?.startsWith("--") && last.endsWith("=")) {
    before[before.length - 1] = last.slice(0, -1);
    return [current, ""];
  }
  if (!current.startsWith("--") || !current.includes("=")) return [current, ""];
  const [name, value] = cut(current);
  before.push(name);
  return [value, `${name}=`];
}

function cut(word: string): [string, string] {
  const at = word.indexOf("=");
  return [word.slice(0, at), word.slice(at + 1)];
}

const takes_value = (option: Option) => option.required || option.optional;

const find_option = (program: Command, command: Command, name: string): Option | undefined =>
  [...command.options, ...program.options].find((one) => one.long === name || one.short === name);

/** `--agent <id>` → `id`. */
const placeholder_of = ({ flags }: Option) => /[<[](.+)[>\]]/.exec(flags)?.[1] ?? "";

function argument_at({ registeredArguments }: Command, place: number): Argument | undefined {
  const last = registeredArguments.at(-1);
  return registeredArguments[place] ?? (last?.variadic ? last : undefined);
}

function values_of(command: Command, placeholder: string, choices?: readonly string[]) {
  const values = choices ?? USUAL[placeholder] ?? [];
  const kind = KINDS[placeholder] ?? null;
  const living = kind && "ask" in kind && kind.ask === "agent" && FOR_THE_LIVING.has(command.name());
  return {
    candidates: values.map((value) => ({ value, about: "" })),
    kind: living ? ({ ask: "living" } as const) : kind,
  };
}

const visible = (command: Command) => command.createHelp().visibleCommands(command);
const named = (one: Command): Candidate => ({ value: one.name(), about: one.description() });

/** What may still be said: an option is said once, unless its values are collected. */
function options_of(program: Command, command: Command, given: ReadonlySet<Option>): Candidate[] {
  const own = command.createHelp().visibleOptions(command);
  const names = new Set(own.map((one) => one.long));
  const shared = program.options.filter((one) => command !== program && !names.has(one.long) && !one.hidden);
  return [...own, ...shared].flatMap((one) =>
    one.long && (!given.has(one) || Array.isArray(one.defaultValue))
      ? [{ value: one.long, about: one.description }]
      : [],
  );
}
