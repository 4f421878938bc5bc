/** Gemini CLI, `--output-format stream-json`: `init`, `message` (the assistant's in pieces), `tool_use`, `tool_result`, `error`, `result`. */
import {
  type Entry,
  error_text,
  type Family,
  facts,
  is_object,
  type Json,
  seconds,
  string_of,
  text_of,
  tokens,
  tool_call,
} from "./entry.ts";

export const gemini: Family = {
  name: "gemini",
  read(event) {
    switch (event.type) {
      case "init":
        return typeof event.session_id === "string"
          ? [{ kind: "system", text: `session ${event.session_id}${facts(string_of(event.model))}` }]
          : null;
      case "message":
        return typeof event.content === "string" && (event.role === "user" || event.role === "assistant")
          ? [{ kind: event.role, text: event.content, delta: event.delta === true }]
          : null;
      case "tool_use":
        return typeof event.tool_name === "string" ? [tool_call(event.tool_name, event.parameters)] : null;
      case "tool_result":
        return typeof event.tool_id === "string" ? [tool_result(event)] : null;
      case "error":
        if (typeof event.severity !== "string") return null;
        return [{ kind: event.severity === "warning" ? "system" : "error", text: text_of(event.message) }];
      case "result":
        return typeof event.status === "string" ? [result(event)] : null;
      default:
        return null;
    }
  },
  session: (event) => (event.type === "init" ? string_of(event.session_id) : null),
};

function tool_result(event: Json): Entry {
  if (event.status !== "error") return { kind: "tool_result", text: text_of(event.output) };
  return { kind: "tool_result", failed: true, text: error_text(event.error ?? event.output) };
}

function result(event: Json): Entry {
  const stats = is_object(event.stats) ? event.stats : {};
  const how = facts(seconds(stats.duration_ms), tokens(stats.input_tokens, stats.output_tokens));
  if (event.status === "success") return { kind: "result", text: `completed${how}` };
  return { kind: "result", failed: true, text: error_text(event.error ?? event.status) + how };
}
