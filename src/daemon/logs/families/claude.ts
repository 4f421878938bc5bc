/** Claude Code, `--output-format stream-json`: `system`, `assistant`, `user` and `result` events, one a line, whole messages. */
import {
  dollars,
  type Entry,
  type Family,
  facts,
  is_object,
  type Json,
  seconds,
  string_of,
  text_of,
  text_of_blocks,
  tool_call,
} from "./entry.ts";

export const claude: Family = {
  name: "claude",
  read(event) {
    switch (event.type) {
      case "system":
        return typeof event.subtype === "string" ? [system(event)] : null;
      case "assistant":
      case "user":
        return is_object(event.message) ? message(event.type, event.message) : null;
      case "result":
        return typeof event.subtype === "string" ? [result(event)] : null;
      case "stream_event":
        // Pieces of a message that follows whole (--include-partial-messages).
        return is_object(event.event) ? [] : null;
      default:
        return null;
    }
  },
  session: (event) => string_of(event.session_id),
};

function system(event: Json): Entry {
  if (event.subtype !== "init") return { kind: "system", text: text_of(event.subtype) };
  const tools = Array.isArray(event.tools) ? `${event.tools.length} tools` : null;
  return {
    kind: "system",
    text: `session ${text_of(event.session_id)}${facts(string_of(event.model), tools, string_of(event.cwd))}`,
  };
}

function message(role: "assistant" | "user", { content }: Json): Entry[] | null {
  if (typeof content === "string") return [{ kind: role, text: content }];
  return Array.isArray(content) ? content.map((part) => block(role, part as Json)) : null;
}

function block(role: "assistant" | "user", part: Json): Entry {
  switch (part.type) {
    case "text":
      return { kind: role, text: text_of(part.text) };
    case "thinking":
      return { kind: "thinking", text: text_of(part.thinking) };
    case "tool_use":
    case "server_tool_use":
      return tool_call(text_of(part.name), part.input);
    case "tool_result":
      return { kind: "tool_result", failed: part.is_error === true, text: tool_output(part.content) };
    default:
      return { kind: "other", text: JSON.stringify(part) };
  }
}

/** Text, or blocks of text and images. */
function tool_output(content: unknown): string {
  if (!Array.isArray(content)) return text_of(content);
  return text_of_blocks(content, (part) => `[${text_of(part?.type ?? "block")}]`);
}

function result(event: Json): Entry {
  const failed = event.is_error === true || event.subtype !== "success";
  const turns = typeof event.num_turns === "number" && `${event.num_turns} turns`;
  const how = facts(turns, seconds(event.duration_ms), dollars(event.total_cost_usd));
  const errors = Array.isArray(event.errors) ? event.errors.map(text_of).join("; ") : "";
  const said = string_of(event.result) || errors || text_of(event.subtype);
  return { kind: "result", failed, text: said + how };
}
