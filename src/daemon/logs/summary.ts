/** A log at a glance: what kinds of events it has, what went wrong, the last words and the last result. */
import type { OutputSummary } from "../../contract/operations/output.ts";
import { type Entry, is_object } from "./families/entry.ts";
import { read_event } from "./families/families.ts";
import { parse_json, shorten } from "./format.ts";
import type { Line } from "./lines.ts";

const ERRORS_KEPT = 10;

export class Summary {
  /** False when the log is longer than what was looked at. */
  complete = true;
  private lines = 0;
  private readonly counts: Record<string, number> = {};
  private readonly tools: Record<string, number> = {};
  private readonly errors: string[] = [];
  private last_assistant: string | null = null;
  private last_result: string | null = null;
  private session: string | null = null;
  /** The assistant's text is being put together from pieces. */
  private joining = false;

  constructor(private readonly ended: () => boolean) {}

  add(line: Line): void {
    const event = line.cut > 0 ? undefined : parse_json(line.text);
    if (!is_object(event)) {
      const half = !line.whole && event === undefined && /^\s*[[{]/.test(line.text);
      if (half && !this.ended()) return;
      this.lines++;
      this.count(half ? "partial" : "text");
      return;
    }
    this.lines++;
    const { entries, session } = read_event(event);
    this.session = session ?? this.session;
    for (const entry of entries) this.add_entry(entry);
  }

  private add_entry(entry: Entry): void {
    const goes_on = this.joining && entry.delta === true && entry.kind === "assistant";
    this.joining = entry.delta === true && entry.kind === "assistant";
    if (goes_on) {
      this.last_assistant += entry.text;
      return;
    }
    this.count(entry.kind);
    if (entry.tool !== undefined && entry.kind === "tool") this.tools[entry.tool] = (this.tools[entry.tool] ?? 0) + 1;
    if (entry.kind === "assistant") this.last_assistant = entry.text;
    if (entry.kind === "result") this.last_result = entry.text;
    if (entry.kind === "error" || entry.failed) {
      this.errors.push(shorten(entry.text));
      if (this.errors.length > ERRORS_KEPT) this.errors.shift();
    }
  }

  private count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }

  result(): OutputSummary {
    const { complete, lines, counts, tools, errors, last_assistant, last_result, session } = this;
    return { complete, lines, counts, tools, errors, last_assistant, last_result, session };
  }
}
