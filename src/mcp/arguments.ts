/** Checks what a tool was called with: every mistake is named, and for a name that nobody knows the nearest right one. */
import { closestMatch } from "leven";
import { SupervisorError } from "../contract/errors.ts";
import type { Tool } from "./tools.ts";

/** The tool of that name, or `not_found` with the nearest one. */
export function find_tool(tools: ReadonlyMap<string, Tool>, name: string): Tool {
  const tool = tools.get(name);
  if (tool) return tool;
  throw new SupervisorError("not_found", `there is no tool '${name}'${suggestion(name, [...tools.keys()])}`);
}

/** The arguments, with defaults filled in, or `invalid_request`. */
export function check_arguments(tool: Tool, given: Record<string, unknown>): Record<string, unknown> {
  const names = Object.keys(tool.input.shape);
  const unknown = Object.keys(given).filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    const each = unknown.map((name) => `unknown argument '${name}'${suggestion(name, names)}`).join("; ");
    const takes = names.length > 0 ? names.join(", ") : "no arguments";
    throw new SupervisorError("invalid_request", `${each}; ${tool.name} takes ${takes}`);
  }
  const parsed = tool.input.safeParse(given);
  if (parsed.success) return parsed.data;
  const each = parsed.error.issues.map((issue) => {
    const name = issue.path.join(".");
    return name in given || issue.path.length > 1 ? `${name}: ${issue.message}` : `${name} is missing`;
  });
  throw new SupervisorError("invalid_request", `${tool.name}: ${each.join("; ")}`);
}

/** ` (did you mean …?)`, when one of the names is near enough to be meant. */
function suggestion(name: string, names: readonly string[]): string {
  const nearest = closestMatch(name, [...names], { maxDistance: Math.max(2, Math.floor(name.length / 3)) });
  return nearest === undefined ? "" : ` (did you mean '${nearest}'?)`;
}
