/** An MCP client of a test's own: the official SDK's, over stdio, on a real `supervisor mcp` process. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { expect } from "vitest";
import { SUPERVISOR, type TestSupervisor } from "./supervisor.ts";

export type ToolAnswer = Record<string, unknown> & { success: boolean };

export class McpClient {
  private constructor(
    readonly sdk: Client,
    readonly transport: StdioClientTransport,
  ) {}

  static async connect(
    supervisor: TestSupervisor,
    options: { args?: string[]; env?: Record<string, string> } = {},
  ): Promise<McpClient> {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [SUPERVISOR, "mcp", ...(options.args ?? [])],
      env: { ...supervisor.env, SUPERVISOR_WORKSPACE: supervisor.workspace, ...options.env },
      cwd: supervisor.root,
    });
    const sdk = new Client({ name: "test", version: "1" });
    await sdk.connect(transport);
    return new McpClient(sdk, transport);
  }

  /** Calls a tool. The text and the structured content of an answer are the same. */
  async call(name: string, args: Record<string, unknown> = {}): Promise<ToolAnswer> {
    const answer = await this.sdk.callTool({ name, arguments: args });
    const [content] = answer.content as { type: string; text: string }[];
    expect(JSON.parse(content?.text ?? "")).toEqual(answer.structuredContent);
    const result = answer.structuredContent as ToolAnswer;
    if (answer.isError) expect(result).toMatchObject({ success: false, error: expect.any(String) });
    return result;
  }

  close(): Promise<void> {
    return this.sdk.close();
  }
}
