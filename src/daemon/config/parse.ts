/** One config file's text into a value, or the error that names file, line and column, what is wrong there, and what was probably meant. */
import { closestMatch } from "leven";
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { z } from "zod";
import { supervisor_config } from "../../contract/config.ts";
import { message_of, SupervisorError } from "../../contract/errors.ts";

/** The value of a config file that fits the schema, as it was written (no defaults), or throws `config_invalid`. */
export function parse_config(path: string, text: string): Record<string, unknown> {
  const lines = new LineCounter();
  // JSON is YAML, so that one reader knows the positions of both.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const fail = (at: number, message: string, more = 0): never => {
    const { line, col } = lines.linePos(at);
    const others = more > 0 ? ` (and ${more} more)` : "";
    throw new SupervisorError(
      "config_invalid",
      `${path}:${Math.max(1, line)}:${Math.max(1, col)}: ${message}${others}`,
    );
  };
  const [broken] = document.errors;
  if (broken) fail(broken.pos[0], broken.message, document.errors.length - 1);
  if (path.endsWith(".json") && text.trim() !== "") {
    try {
      JSON.parse(text);
    } catch (error) {
      fail(0, `this is not JSON (${message_of(error)}); YAML belongs into a file that ends in .yaml`);
    }
  }
  const value: unknown = document.toJS() ?? {};
  const checked = supervisor_config.safeParse(value);
  if (!checked.success) {
    const found = checked.error.issues.flatMap((issue) => explain(issue, document));
    fail(found[0]?.at ?? 0, found[0]?.message ?? "is not a config", found.length - 1);
  }
  return value as Record<string, unknown>;
}

interface Finding {
  at: number;
  message: string;
}

function explain(issue: z.core.$ZodIssue, document: Document): Finding[] {
  const where = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const known = keys_at(supervisor_config, issue.path);
    return issue.keys.map((key) => ({
      at: position_of(document, [...issue.path, key], true),
      message: `unknown key '${key}'${where ? ` in ${where}` : ""}; ${suggestion(key, known)}`,
    }));
  }
  const values = issue.code === "invalid_value" ? issue.values.map(String) : [];
  const node = document.getIn(issue.path.map(key_of), true);
  const given = isScalar(node) && typeof node.value === "string" ? node.value : "";
  // The message names all values already; what is left to say is which one was meant.
  const close = given && closest(given, values);
  const meant = close ? `; did you mean '${close}'?` : "";
  return [
    {
      at: position_of(document, issue.path, issue.code === "invalid_key"),
      message: `${where || "the file"}: ${issue.message}${meant}`,
    },
  ];
}

/** What a word that is not known was probably meant to be, or what is known. */
export function suggestion(word: string, known: string[]): string {
  const close = closest(word, known);
  return close ? `did you mean '${close}'?` : `known are ${known.join(", ")}`;
}

const closest = (word: string, known: string[]) =>
  closestMatch(word, known, { maxDistance: Math.max(2, Math.floor(word.length / 3)) });

const key_of = (part: PropertyKey) => (typeof part === "symbol" ? String(part) : part);

/** Where in the text a path leads: to the value, or to the key itself. As far as the path goes. */
function position_of(document: Document, path: PropertyKey[], key: boolean): number {
  let node: unknown = document.contents;
  let at = start_of(node) ?? 0;
  for (const [index, part] of path.entries()) {
    const name = String(part);
    if (isMap(node)) {
      const pair = node.items.find((one) => (isScalar(one.key) ? String(one.key.value) : String(one.key)) === name);
      if (!pair) return at;
      const last = index === path.length - 1;
      at = (last && !key ? start_of(pair.value) : undefined) ?? start_of(pair.key) ?? at;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      at = start_of(node) ?? at;
    } else return at;
  }
  return at;
}

const start_of = (node: unknown): number | undefined => (isNode(node) ? (node as Node).range?.[0] : undefined);

/** The keys that the schema knows at a path. */
function keys_at(schema: z.ZodType, path: PropertyKey[]): string[] {
  const inner = unwrapped(schema);
  const [first, ...rest] = path;
  if (first === undefined) return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
  if (inner instanceof z.ZodObject)
    return keys_at((inner.shape as Record<string, z.ZodType>)[String(first)] ?? z.never(), rest);
  if (inner instanceof z.ZodRecord) return keys_at(inner.valueType as z.ZodType, rest);
  if (inner instanceof z.ZodArray) return keys_at(inner.element as z.ZodType, rest);
  return [];
}

/** A schema without what makes it optional. */
export function unwrapped(schema: z.ZodType): z.ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  )
    return unwrapped(schema.unwrap() as z.ZodType);
  return schema;
}
