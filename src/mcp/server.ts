/**
 * The MCP server: a process of its own, started by an MCP client, which it speaks with over stdin and stdout (stdout has the protocol and
 * nothing else). It holds nothing: everything is the daemon's. When the client goes, it ends; daemon and agents go on.
 */
import "../contract/plain-words.ts";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { deferred } from "../contract/deferred.ts";
import { message_of, SupervisorError } from "../contract/errors.ts";
import { find_tool } from "./arguments.ts";
import { call_tool } from "./call.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Caller } from "./fill-in.ts";
import { serve_resources } from "./resources.ts";
import { make_tools, tool_listing } from "./tools.ts";

/** How long calls under way may take to be answered after the client closed its end, in ms: it may still read (a script with a pipe does). */
const LAST_ANSWERS_MS = 10_000;

const INSTRUCTIONS = `Runs other coding agents in the background, keeps all they print, and ends them with proof.
Create a task (create_real_task), deploy agents into it (deploy_headless_agent), watch them (get_real_task_status, get_agent_output,
wait_for_agent), read what they found (get_task_findings), and end them (kill_real_agent). Agents themselves report with
update_agent_progress and report_agent_finding. Every answer has "success"; when it is false, "error" says what to do.`;

export interface McpOptions extends ConnectionOptions {
  version: string;
  caller: Caller;
}

/** Serves one client on stdin and stdout. Resolves when it is gone. */
export async function run_mcp_server(options: McpOptions): Promise<void> {
  const server = new Server(
    { name: "supervisor", version: options.version },
    {
      capabilities: { tools: {}, resources: { subscribe: true } },
      instructions: INSTRUCTIONS,
    },
  );
  const connection = new Connection(options);
  const tools = make_tools(options.caller.agent_id);
  const calls = new Set<Promise<unknown>>();
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [...tools.values()].map(tool_listing) }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { signal }) => {
    const call = async () => {
      const tool = find_tool(tools, params.name);
      return call_tool({ tool, given: params.arguments ?? {}, caller: options.caller, connection, signal });
    };
    const answered = call().then(result, failure);
    calls.add(answered);
    void answered.then(() => calls.delete(answered));
    return answered;
  });
  const stop_watching = serve_resources(server, connection);
  const gone = deferred();
  process.stdin.once("end", gone.resolve).once("close", gone.resolve);
  await server.connect(new StdioServerTransport());
  await gone.promise;
  const late = new AbortController();
  await Promise.race([Promise.all(calls), timeout(LAST_ANSWERS_MS, late.signal)]);
  late.abort();
  stop_watching();
  await server.close();
}

/** An answer as agents read it (text) and as programs do (structuredContent). */
const result = (answer: Record<string, unknown>) => ({
  content: [{ type: "text" as const, text: JSON.stringify(answer) }],
  structuredContent: answer,
});

function failure(error: unknown) {
  const code = error instanceof SupervisorError ? error.code : "internal";
  return { ...result({ success: false, error: message_of(error), code }), isError: true };
}

function timeout(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => clearTimeout(timer));
  });
}
