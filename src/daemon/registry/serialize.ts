/**
 * A registry as text, in pieces. Of an agent that has not changed the text of the last time is used again: a registry of 400 agents is 1 MB, an end writes it four times, and
 * to make it anew each time was half of what the daemon's one thread did for that end.
 *
 * That an agent has not changed is seen by its values: each is the same as it was, and none can have changed inside, because what is remembered is frozen. A module that changes
 * such a value in its place, instead of putting another there, is refused by the compiler (`Kept`), and where that cannot see it gets a TypeError. An end that is under way changes in place all the time; its agent is never remembered.
 */

interface Remembered {
  keys: readonly string[];
  values: readonly unknown[];
  text: Uint8Array;
}

/** Where the agents go: no text of JSON has a line break, and what lies deeper is indented more. */
const PLACE = '\n  "agents": []';
const INDENT = "    ";

export class Serializer {
  private readonly remembered = new WeakMap<object, Remembered>();

  /** What `JSON.stringify(data, null, 2)` gives, and an end of line. The agents' nested values are frozen by it. */
  serialize(data: Readonly<Record<string, unknown>> & { agents: readonly unknown[] }): Buffer {
    const frame = JSON.stringify({ ...data, agents: [] }, null, 2);
    if (data.agents.length === 0) return Buffer.from(`${frame}\n`);
    const at = frame.indexOf(PLACE) + PLACE.length - 1;
    const pieces: Uint8Array[] = [Buffer.from(frame.slice(0, at))];
    for (const [index, agent] of data.agents.entries())
      pieces.push(index === 0 ? FIRST : NEXT, is_object(agent) ? this.text_of(agent) : text_of(agent));
    pieces.push(Buffer.from(`\n  ${frame.slice(at)}\n`));
    return Buffer.concat(pieces);
  }

  private text_of(agent: Record<string, unknown>): Uint8Array {
    const known = this.remembered.get(agent);
    const keys = Object.keys(agent);
    if (known && is_as_it_was(agent, keys, known)) return known.text;
    const text = text_of(agent);
    if (is_object(agent.ending)) {
      this.remembered.delete(agent);
      return text;
    }
    const values = keys.map((key) => agent[key]);
    for (const value of values) freeze(value);
    this.remembered.set(agent, { keys, values, text });
    return text;
  }
}

const FIRST = Buffer.from(`\n${INDENT}`);
const NEXT = Buffer.from(`,\n${INDENT}`);

/** Gives each text memory of its own. `Buffer.from` takes it from blocks of 8 KB, each of which stays as long as one of its texts. */
const ENCODER = new TextEncoder();

/** As an element of an array, where what JSON has no word for is null. */
const text_of = (value: unknown) =>
  ENCODER.encode((JSON.stringify(value, null, 2) ?? "null").replaceAll("\n", `\n${INDENT}`));

const is_object = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

function is_as_it_was(agent: Record<string, unknown>, keys: readonly string[], known: Remembered): boolean {
  if (keys.length !== known.keys.length) return false;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    if (key !== known.keys[i] || !Object.is(agent[key], known.values[i])) return false;
  }
  return true;
}

function freeze(value: unknown): void {
  if (!is_object(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}
