/** opencode, `opencode run --format json`: every event has a `sessionID` and a `part`; a tool is told once, when it is done. */
import {
  dollars,
  type Entry,
  type Family,
  facts,
  is_object,
  type Json,
  string_of,
  text_of,
  tokens,
  tool_call,
} from "./entry.ts";

export const opencode: Family = {
  name: "opencode",
  read(event) {
    if (typeof event.sessionID !== "string") return null;
    if (event.type === "error") return [{ kind: "error", text: error_text(event.error) }];
    const { part } = event;
    if (!is_object(part)) return null;
    switch (event.type) {
      case "step_start":
        return [];
      case "text":
        return [{ kind: "assistant", text: text_of(part.text) }];
      case "reasoning":
        return [{ kind: "thinking", text: text_of(part.text) }];
      case "tool_use":
        return is_object(part.state) ? tool(part, part.state) : null;
      case "step_finish":
        return part.reason === "tool-calls" ? [] : [finish(part)];
      default:
        return null;
    }
  },
  session: (event) => string_of(event.sessionID),
};

function tool(part: Json, state: Json): Entry[] {
  const call = tool_call(text_of(part.tool), state.input);
  if (state.status === "error") return [call, { kind: "tool_result", failed: true, text: text_of(state.error) }];
  return [call, { kind: "tool_result", text: text_of(state.output).trimEnd() }];
}

function finish(part: Json): Entry {
  const used = is_object(part.tokens) ? part.tokens : {};
  const how = facts(tokens(used.input, used.output), dollars(part.cost));
  return { kind: "result", failed: part.reason !== "stop", text: `${text_of(part.reason)}${how}` };
}

function error_text(error: unknown): string {
  if (!is_object(error)) return text_of(error);
  const message = is_object(error.data) ? string_of(error.data.message) : null;
  return [text_of(error.name), message].filter(Boolean).join(": ") || JSON.stringify(error);
}
