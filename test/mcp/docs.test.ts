import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { make_tools, type Tool } from "../../src/mcp/tools.ts";

/** A tool as a row of the table in docs/mcp.md: needed arguments in bold, then what a client may assume. */
function row({ name, input, hints }: Tool): string {
  const { required = [] } = z.toJSONSchema(input, { io: "input", unrepresentable: "any" });
  const args = Object.keys(input.shape).map((one) => (required.includes(one) ? `**${one}**` : one));
  const assume = Object.entries(hints).flatMap(([hint, holds]) => (holds ? [hint.replace("_", "-")] : []));
  return `| \`${name}\` | ${args.join(", ")} | ${assume.join(", ")} |`;
}

test("docs/mcp.md has every tool with its arguments, and no other", () => {
  const docs = readFileSync(new URL("../../docs/mcp.md", import.meta.url), "utf8");
  const rows = docs.split("\n").filter((line) => /^\| `\w+` \| .* \| .* \|$/.test(line));
  expect(rows).toEqual([...make_tools(undefined).values()].map(row));
});
