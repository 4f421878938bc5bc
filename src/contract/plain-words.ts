/** What is wrong with a value, in words for the person who gave it: zod's own are for who wrote the schema. Imported where values are checked, by the daemon and the MCP server: a command must not load zod for it. */
import { z } from "zod";

const KINDS: Record<string, string> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object with keys",
  record: "an object with keys",
  null: "nothing",
  undefined: "nothing",
  nan: "no number",
  NaN: "no number",
};
const kind = (name: string) => KINDS[name] ?? `a ${name}`;

/** `must be at least 1`, `must have at least 1 character`: what is counted depends on what it is. */
function bound(how: "at least" | "at most", limit: number | bigint, origin: string, inclusive: boolean): string {
  const unit = { string: "character", array: "entry", set: "entry", map: "entry", file: "byte" }[origin];
  if (!unit) return inclusive ? `must be ${how} ${limit}` : `must be ${how === "at least" ? "over" : "under"} ${limit}`;
  const counted = Number(limit) === 1 ? unit : unit === "entry" ? "entries" : `${unit}s`;
  return Number(limit) === 1 && how === "at least" ? "must not be empty" : `must have ${how} ${limit} ${counted}`;
}

function in_plain_words(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type": {
      if (issue.input === undefined) return "is missing";
      // What is written is a number, or not, and what came of it is none: 1e400, or text in a query.
      if (issue.expected === "number" && typeof issue.input === "number")
        return Number.isNaN(issue.input) ? "must be a number" : "must be a finite number";
      return `must be ${kind(issue.expected)}, not ${kind(z.core.util.parsedType(issue.input))}`;
    }
    case "too_small":
      return bound("at least", issue.minimum, issue.origin, issue.inclusive !== false);
    case "too_big":
      return bound("at most", issue.maximum, issue.origin, issue.inclusive !== false);
    case "invalid_value":
      return issue.values.length === 1
        ? `must be '${String(issue.values[0])}'`
        : `must be one of ${issue.values.map((one) => `'${String(one)}'`).join(", ")}`;
    case "invalid_format":
      return issue.format === "datetime" ? "must be a date and time, such as 2026-11-24T03:02:15Z" : undefined;
    case "unrecognized_keys":
      return `has no field ${issue.keys.map((key) => `'${key}'`).join(", ")}`;
    default:
      return undefined;
  }
}

z.config({ customError: in_plain_words });
