/** When something was printed, as the agent's own events say it. */
import { is_object } from "./families/entry.ts";
import { parse_json } from "./format.ts";
import type { Line } from "./lines.ts";

/** How many lines are looked at for a timestamp: an agent that has them has them nearly everywhere. */
const LOOKED_AT = 20;

/** The first timestamp among the first lines that come, as ISO 8601. */
export async function first_timestamp(lines: AsyncIterable<Line>): Promise<string | null> {
  let left = LOOKED_AT;
  for await (const line of lines) {
    const at = timestamp_of(line.text);
    if (at) return at;
    if (--left === 0) return null;
  }
  return null;
}

/** An event's `timestamp`: ISO 8601, or milliseconds since 1970. */
export function timestamp_of(text: string): string | null {
  if (!text.includes('"timestamp"')) return null;
  const event = parse_json(text);
  if (!is_object(event)) return null;
  const { timestamp } = event;
  const at = typeof timestamp === "string" || typeof timestamp === "number" ? new Date(timestamp) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : null;
}
