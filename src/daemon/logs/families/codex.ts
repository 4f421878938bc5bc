/** Codex, `codex exec --json`: `thread.*`, `turn.*` and `item.*` events. An item is told when it starts, changes and is completed. */
import {
  type Entry,
  error_text,
  type Family,
  facts,
  is_object,
  type Json,
  string_of,
  text_of,
  text_of_blocks,
  tokens,
  tool_call,
} from "./entry.ts";

export const codex: Family = {
  name: "codex",
  read(event) {
    switch (event.type) {
      case "thread.started":
        return [{ kind: "system", text: `session ${text_of(event.thread_id)}` }];
      case "turn.started":
        return [];
      case "turn.completed": {
        const usage = is_object(event.usage) ? event.usage : {};
        return [{ kind: "result", text: `turn completed${facts(tokens(usage.input_tokens, usage.output_tokens))}` }];
      }
      case "turn.failed":
        return [{ kind: "result", failed: true, text: `turn failed: ${error_text(event.error)}` }];
      case "item.started":
      case "item.updated":
      case "item.completed":
        return is_object(event.item) ? item(event.type, event.item) : null;
      case "error":
        // Other families have an `error` too; only this one has the message and nothing else.
        return typeof event.message === "string" && Object.keys(event).length === 2
          ? [{ kind: "error", text: event.message }]
          : null;
      default:
        return null;
    }
  },
  session: (event) => (event.type === "thread.started" ? string_of(event.thread_id) : null),
};

function item(stage: string, item: Json): Entry[] | null {
  const done = stage === "item.completed";
  const failed = item.status === "failed" || item.status === "declined";
  switch (item.type ?? item.item_type) {
    case "agent_message":
    case "assistant_message":
      return done ? [{ kind: "assistant", text: text_of(item.text) }] : [];
    case "reasoning":
      return done ? [{ kind: "thinking", text: text_of(item.text) }] : [];
    case "command_execution":
      if (stage === "item.started") return [tool_call("shell", { command: text_of(item.command) })];
      return done ? [command_result(item, failed)] : [];
    case "file_change":
      if (!done) return [];
      return [{ kind: "tool", failed, tool: "file_change", text: `file_change ${changes(item.changes)}` }];
    case "mcp_tool_call":
      if (stage === "item.started") return [tool_call(`${text_of(item.server)}.${text_of(item.tool)}`, item.arguments)];
      return done ? [mcp_result(item, failed)] : [];
    case "web_search":
      return done ? [tool_call("web_search", { query: text_of(item.query) })] : [];
    case "todo_list":
      return done ? [] : [{ kind: "system", text: todo(item.items) }];
    case "error":
      return done ? [{ kind: "error", text: text_of(item.message) }] : [];
    default:
      return null;
  }
}

function command_result(item: Json, failed: boolean): Entry {
  const wrong = failed || (typeof item.exit_code === "number" && item.exit_code !== 0);
  const how = item.status === "declined" ? " (declined)" : facts(wrong && `exit code ${text_of(item.exit_code)}`);
  return { kind: "tool_result", failed: wrong, text: (text_of(item.aggregated_output).trimEnd() + how).trim() };
}

function mcp_result(item: Json, failed: boolean): Entry {
  if (failed) return { kind: "tool_result", failed, text: error_text(item.error) };
  const content = is_object(item.result) ? item.result.content : item.result;
  return { kind: "tool_result", text: text_of_blocks(Array.isArray(content) ? content : [], text_of) };
}

const changes = (list: unknown) =>
  Array.isArray(list) ? list.map((one: Json) => `${text_of(one?.kind)} ${text_of(one?.path)}`).join(", ") : "";

function todo(list: unknown): string {
  const items = (Array.isArray(list) ? list : []) as Json[];
  const next = items.find((one) => one.completed !== true);
  return `plan: ${items.filter((one) => one.completed === true).length} of ${items.length} done${next ? `, next: ${text_of(next.text)}` : ""}`;
}
