/**
 * The HTTP server on the unix socket. Every route comes from the operations table; every error leaves as
 * `{"success":false,"error":…,"code":…}` with no stack. The socket is the owner's alone (0600 in a 0700 directory).
 */
import { chmod, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import swagger from "@fastify/swagger";
import fastify, { type FastifyInstance } from "fastify";
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import { is_disk_trouble, message_of, SupervisorError, trouble } from "../../contract/errors.ts";
import { OPERATIONS, type OperationName } from "../../contract/operations.ts";
import type { Services } from "../services.ts";
import { VERSION } from "../version.ts";
import type { Handlers, Stream } from "./handler.ts";
import { HANDLERS } from "./handlers.ts";

/** A prompt may have 8 MB; in JSON it may be longer. */
const BODY_LIMIT_BYTES = 32 * 1024 * 1024;
/** A client that sends its headers slower than this is not one of ours. In ms. */
const HEADERS_TIMEOUT_MS = 10_000;

type AnyHandler = (
  services: Services,
  request: { params: unknown; query: unknown; body: unknown },
  signal: AbortSignal,
) => Promise<unknown>;

export async function start_server(services: Services): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 200 },
  });
  app.server.headersTimeout = HEADERS_TIMEOUT_MS;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) => {
    const known = to_supervisor_error(error);
    if (known.code === "internal") services.log.error({ err: error }, "a request failed by a defect");
    return reply.status(known.http_status).send({ success: false, error: known.message, code: known.code });
  });
  app.setNotFoundHandler((request, reply) =>
    reply
      .status(404)
      .send({ success: false, error: `no ${request.method} ${request.url}; see /openapi.json`, code: "not_found" }),
  );
  await app.register(swagger, {
    openapi: { info: { title: "agent-supervisor", version: VERSION } },
    transform: jsonSchemaTransform,
  });
  for (const name of Object.keys(OPERATIONS) as OperationName[]) add_route(app, services, name, HANDLERS);
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
  await rm(services.socket, { force: true });
  await app.listen({ path: services.socket });
  await chmod(services.socket, 0o600);
  return app;
}

function add_route(app: FastifyInstance, services: Services, name: OperationName, handlers: Handlers): void {
  const { method, path, description, params, query, body, stream } = OPERATIONS[name];
  app.route({
    method,
    url: path,
    schema: { operationId: name, description, params, querystring: query, ...(method === "POST" ? { body } : {}) },
    handler: async (request, reply) => {
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort());
      const result = await (handlers[name] as AnyHandler)(
        services,
        { params: request.params, query: request.query, body: request.body ?? {} },
        gone.signal,
      );
      if (!stream) return result;
      return reply
        .type(name === "events" ? "application/x-ndjson" : "application/octet-stream")
        .send(Readable.from(result as Stream, { objectMode: false }));
    },
  });
}

function to_supervisor_error(error: unknown): SupervisorError {
  if (error instanceof SupervisorError) return error;
  const { code, statusCode, validation } = error as {
    code?: string;
    statusCode?: number;
    validation?: { instancePath: string; message?: string }[];
  };
  if (validation) {
    const first = validation[0];
    return new SupervisorError(
      "invalid_request",
      `${first?.instancePath.slice(1).replaceAll("/", ".") || "the request"}: ${first?.message ?? "is not valid"}`,
    );
  }
  if (statusCode === 413)
    return new SupervisorError("request_too_large", `a request may have ${BODY_LIMIT_BYTES} bytes`);
  if (statusCode && statusCode < 500) return new SupervisorError("invalid_request", message_of(error));
  if (is_disk_trouble(error)) {
    const { path } = error as { path?: string };
    return new SupervisorError(
      "registry_unwritable",
      `${path ? `${path}: ` : ""}${trouble(error)}; nothing was recorded: mend the workspace's disk and try again`,
    );
  }
  return new SupervisorError(
    "internal",
    `a defect in the supervisor (${code ?? "no code"}: ${message_of(error)}); its log has the details`,
  );
}
