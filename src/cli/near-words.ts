/** Which of commander's suggestions are near enough to be what was meant: it also offers `logs` for `bogus`, and `stop` for `show`. */
import type { Command } from "commander";
import leven from "leven";

const SUGGESTION = /\s*\(Did you mean (?:one of )?(.+)\?\)/;

/** Commander's error with the suggestions that are near; where none is, what shows all that there is. */
export function with_near_words(error: string, command: Command): string {
  const [, kind, typed] = /unknown (command|option) '([^']*)'/.exec(error) ?? [];
  if (kind === undefined || typed === undefined) return error;
  const [whole, list] = SUGGESTION.exec(error) ?? ["", ""];
  const near = list.split(", ").filter((known) => known !== "" && is_near(bare(typed), bare(known)));
  const said = error.replace(whole, "").trimEnd();
  if (near.length === 0) return `${said}; see '${path_of(command)} --help'`;
  return `${said} (Did you mean ${near.length > 1 ? "one of " : ""}${near.join(", ")}?)`;
}

/** A third of the letters at most, letters that changed places, or a word that is not finished. */
function is_near(typed: string, known: string): boolean {
  if (typed.length > 1 && known.startsWith(typed)) return true;
  const longer = Math.max(typed.length, known.length);
  const edits = leven(typed, known);
  const same_letters = [...typed].sort().join("") === [...known].sort().join("");
  return edits <= Math.max(1, Math.floor(longer / 3)) || (same_letters && edits <= 2);
}

const bare = (word: string) => word.replace(/^--/, "");

function path_of(command: Command): string {
  return command.parent ? `${path_of(command.parent)} ${command.name()}` : command.name();
}
