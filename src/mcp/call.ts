/** A tool call: arguments in, an operation of the daemon, the answer in the shape that prompts written for the seed's tools expect. */
import type { Client } from "../client/client.ts";
import { SupervisorError } from "../contract/errors.ts";
import type { OperationName } from "../contract/operations.ts";
import { answer_of } from "./answers.ts";
import { check_arguments } from "./arguments.ts";
import type { Connection } from "./connection.ts";
import { type Caller, fill_in, type Request } from "./fill-in.ts";
import type { Tool } from "./tools.ts";

export interface Call {
  tool: Tool;
  given: Record<string, unknown>;
  caller: Caller;
  connection: Connection;
  /** Aborted when the client cancels the call or goes away. What the daemon began goes on. */
  signal: AbortSignal;
}

export async function call_tool({ tool, given, caller, connection, signal }: Call): Promise<Record<string, unknown>> {
  const args = check_arguments(tool, given);
  const request = fill_in(tool.operation, to_request(tool, args), caller, args);
  return connection.use(async (client) => {
    if (!tool.places.has("task_id") && typeof args.task_id === "string")
      await require_task(client, args.agent_id as string, args.task_id);
    return answer_of(tool.operation, await ask(client, tool.operation, request, signal), request);
  }, tool.hints.read_only || tool.hints.idempotent);
}

/** Each argument at its place in the operation's request. */
function to_request(tool: Tool, args: Record<string, unknown>): Request {
  const request: Request = { params: {}, query: {}, body: {} };
  for (const [name, { part, field }] of tool.places) if (args[name] !== undefined) request[part][field] = args[name];
  return request;
}

/** The time being up is an answer of `wait`, not a failure. */
async function ask(client: Client, operation: OperationName, request: Request, signal: AbortSignal): Promise<unknown> {
  try {
    // The request was made from the operation's own schemas, and the daemon checks it again.
    return await client.call(operation, request as never, { signal });
  } catch (error) {
    if (operation !== "wait" || !(error instanceof SupervisorError) || error.code !== "timeout") throw error;
    return client.call("get_agent", { params: { agent: request.params.agent as string } });
  }
}

/** Refuses an agent that is in another task than the caller believes: it may be another agent than is meant. */
async function require_task(client: Client, agent: string, task_id: string): Promise<void> {
  const { agent_records } = await client.call("get_task", { params: { task: task_id } });
  const { id } = await client.call("get_agent", { params: { agent } });
  if (!agent_records.some((one) => one.id === id))
    throw new SupervisorError(
      "agent_not_found",
      `there is no agent ${agent} in ${task_id}; it belongs to another task`,
    );
}
