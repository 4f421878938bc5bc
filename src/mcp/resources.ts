/**
 * Tasks, agents and logs as resources that a client can list, read and subscribe to. Listing starts no daemon: clients list by themselves
 * when they start, in every project. Updates come from the daemon's event stream, which is opened with the first subscription.
 */
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { SupervisorError } from "../contract/errors.ts";
import type { Connection } from "./connection.ts";
import { watch_events } from "./watch.ts";

/** How many resources are listed at once; the cursor is the number of the next. */
const PAGE = 200;
/** How much of a log a resource has: its newest part, in bytes. `get_agent_output` gives more. */
const LOG_BYTES = 256 * 1024;

const task_uri = (task_id: string) => `supervisor://tasks/${task_id}`;
const agent_uri = (agent_id: string) => `supervisor://agents/${agent_id}`;

const TEMPLATES = [
  {
    uriTemplate: "supervisor://tasks/{task_id}",
    name: "task",
    description: "A task: its agents and what they reported last.",
    mimeType: "application/json",
  },
  {
    uriTemplate: "supervisor://agents/{agent_id}",
    name: "agent",
    description: "An agent's record, with its receipt once it ended.",
    mimeType: "application/json",
  },
  {
    uriTemplate: "supervisor://agents/{agent_id}/log",
    name: "log",
    description: "The newest part of what an agent printed.",
    mimeType: "text/plain",
  },
];

/** Answers the requests about resources. Returns how to stop watching. */
export function serve_resources(server: Server, connection: Connection): () => void {
  const subscribed = new Set<string>();
  const watching = new AbortController();
  const changed = (uri: string) => {
    if (subscribed.has(uri)) void server.sendResourceUpdated({ uri });
  };
  const watch = watch_events(connection, watching.signal, async (agent_id) => {
    changed(agent_uri(agent_id));
    changed(`${agent_uri(agent_id)}/log`);
    const agent = await connection.use_running((client) => client.call("get_agent", { params: { agent: agent_id } }));
    if (typeof agent.task_id === "string") changed(task_uri(agent.task_id));
  });
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: TEMPLATES }));
  server.setRequestHandler(ListResourcesRequestSchema, async ({ params }) => list(connection, params?.cursor));
  server.setRequestHandler(ReadResourceRequestSchema, async ({ params }) => ({
    contents: [await read(connection, params.uri)],
  }));
  server.setRequestHandler(SubscribeRequestSchema, async ({ params }) => {
    parse(params.uri);
    subscribed.add(params.uri);
    await watch();
    return {};
  });
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  return () => watching.abort();
}

async function list(connection: Connection, cursor: string | undefined) {
  const all = await everything(connection);
  const from = Number(cursor ?? 0);
  if (!Number.isInteger(from) || from < 0) throw new SupervisorError("invalid_request", `no such cursor: ${cursor}`);
  const next = from + PAGE;
  return { resources: all.slice(from, next), ...(next < all.length ? { nextCursor: String(next) } : {}) };
}

async function everything(connection: Connection) {
  try {
    return await connection.use_running(async (client) => {
      const tasks = await client.call("list_tasks");
      const agents = await client.call("list_agents", { query: { all: true } });
      return [
        ...tasks.map((task) => ({
          uri: task_uri(task.task_id),
          name: task.task_id,
          description: task.task_description.slice(0, 200),
          mimeType: "application/json",
        })),
        ...agents.map((agent) => ({
          uri: agent_uri(agent.id),
          name: agent.id,
          description: `${agent.status}: ${agent.prompt || agent.command.join(" ")}`.slice(0, 200),
          mimeType: "application/json",
        })),
      ];
    });
  } catch (error) {
    if (error instanceof SupervisorError && error.code === "no_daemon") return [];
    throw error;
  }
}

/** What a URI names, or `not_found`. */
function parse(uri: string): { kind: "task" | "agent" | "log"; id: string } {
  const task = /^supervisor:\/\/tasks\/([^/]+)$/.exec(uri);
  if (task) return { kind: "task", id: decodeURIComponent(task[1] as string) };
  const agent = /^supervisor:\/\/agents\/([^/]+)(\/log)?$/.exec(uri);
  if (agent) return { kind: agent[2] ? "log" : "agent", id: decodeURIComponent(agent[1] as string) };
  throw new SupervisorError(
    "not_found",
    `no resource ${uri}; there are ${TEMPLATES.map((one) => one.uriTemplate).join(", ")}`,
  );
}

async function read(connection: Connection, uri: string) {
  const { kind, id } = parse(uri);
  return connection.use(async (client) => {
    if (kind === "log") {
      const query = { max_bytes: LOG_BYTES };
      const { lines } = await client.call("get_output", { params: { agent: id }, query });
      return { uri, mimeType: "text/plain", text: lines.join("\n") };
    }
    const record =
      kind === "task"
        ? await client.call("get_task", { params: { task: id } })
        : await client.call("get_agent", { params: { agent: id } });
    return { uri, mimeType: "application/json", text: JSON.stringify(record) };
  });
}
