/** All families, and reading an event by whichever knows it. */
import { claude } from "./claude.ts";
import { codex } from "./codex.ts";
import type { Entry, Family, Json } from "./entry.ts";
import { gemini } from "./gemini.ts";
import { generic } from "./generic.ts";
import { opencode } from "./opencode.ts";

/** `generic` is the last: it takes what has no better reader. */
const FAMILIES: Family[] = [claude, codex, gemini, opencode, generic];

/** What an event says, and its session. The families tell their events apart by shape, so that a log needs no label. */
export function read_event(event: Json): { entries: Entry[]; session: string | null } {
  for (const family of FAMILIES) {
    const entries = family.read(event);
    if (entries) return { entries: entries.flatMap(telling), session: family.session(event) };
  }
  return { entries: [{ kind: "other", text: JSON.stringify(event) }], session: null };
}

/** A tool that prints nothing has still answered; any other empty text says nothing. */
function telling(entry: Entry): Entry[] {
  if (entry.text !== "") return [entry];
  return entry.kind === "tool_result" ? [{ ...entry, text: "(no output)" }] : [];
}
