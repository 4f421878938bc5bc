/** The file that connects an agent to this supervisor's MCP server as itself, in the form that Claude Code and others read. No secrets are in it. */
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../supervisor.js", import.meta.url));

/** Its text. The socket is found by the workspace, so that it also works after the supervisor was restarted; it starts none. */
export function mcp_config(workspace: string, agent_id: string): string {
  const args = [PROGRAM, "mcp", "--no-start", "--workspace", workspace, "--agent", agent_id];
  const config = { mcpServers: { supervisor: { type: "stdio", command: process.execPath, args } } };
  return `${JSON.stringify(config, null, 2)}\n`;
}
