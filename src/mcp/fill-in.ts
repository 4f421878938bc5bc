/** What a tool fills in of the operation's request: what the seed's tools took for granted, and who calls. */
import type { OperationName } from "../contract/operations.ts";

/** Who uses this server: where it was started, and for which agent, if for one. */
export interface Caller {
  agent_id: string | undefined;
  cwd: string;
  /** Handed on to the agents that are deployed, as a shell would: over the daemon's private socket, never in argv or files. */
  env: Record<string, string>;
}

/** An operation's request under construction. */
export interface Request {
  params: Record<string, unknown>;
  query: Record<string, string | number | boolean | undefined>;
  body: Record<string, unknown>;
}

/** What runs where nothing else is asked for: its profile is the seed's command line. */
const SEEDS_AGENT = "claude";

/** What the seed calls an agent that nobody deployed. */
const NOBODY = "orchestrator";

/** Shorter than the minute after which MCP clients give a call up. In ms. */
const WAIT_MS = 50_000;

/** `args` are the tool's arguments, also those that have no place in the request. */
export function fill_in(
  operation: OperationName,
  request: Request,
  caller: Caller,
  args: Readonly<Record<string, unknown>>,
): Request {
  if (operation === "get_output" && args.aggressive_truncate === true)
    return { ...request, query: { ...request.query, response_format: "compact" } };
  if (operation === "deploy") return { ...request, body: deploy_body(request.body, caller) };
  if (operation === "progress" || operation === "finding")
    return { ...request, body: { ...request.body, reporter: caller.agent_id } };
  if (operation === "wait") return { ...request, query: { timeout_ms: WAIT_MS, ...request.query } };
  return request;
}

function deploy_body(body: Record<string, unknown>, caller: Caller): Record<string, unknown> {
  const { parent, ...rest } = body;
  return {
    cwd: caller.cwd,
    ...(body.command === undefined ? { profile: SEEDS_AGENT } : {}),
    ...rest,
    // What an agent deploys is its child, whatever it says: depth must not be talked away.
    parent: parent === undefined || parent === NOBODY ? caller.agent_id : parent,
    caller_env: caller.env,
  };
}
