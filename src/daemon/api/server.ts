/**
 * The HTTP server on the unix socket. Every route comes from the operations table; every error leaves as
 * `{"success":false,"error":…,"code":…}` with no stack. The socket is the owner's alone (0600 in a 0700 directory). A client that is slow, that talks
 * garbage or too much is answered and dropped; what it began goes on.
 */
import "../../contract/plain-words.ts";
import { chmod, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import rate_limit from "@fastify/rate-limit";
import fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import { message_of, SupervisorError, trouble } from "../../contract/errors.ts";
import { OPERATIONS, type Operation, type OperationName } from "../../contract/operations.ts";
import type { Services } from "../services.ts";
import { answer_bad_http, error_body, to_supervisor_error } from "./errors.ts";
import type { Handlers, Stream } from "./handler.ts";
import { HANDLERS } from "./handlers.ts";
import { LIMITS } from "./limits.ts";
import { add_openapi } from "./openapi.ts";

type AnyHandler = (
  services: Services,
  request: { params: unknown; query: unknown; body: unknown },
  signal: AbortSignal,
) => Promise<unknown>;

export async function start_server(services: Services): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    bodyLimit: LIMITS.body_bytes,
    requestTimeout: LIMITS.request_ms,
    forceCloseConnections: true,
    clientErrorHandler: answer_bad_http,
    // What the router cannot even read (`%zz` in a path) never comes to the error handler below.
    frameworkErrors: (error, _request, reply) => {
      const known = to_supervisor_error(error);
      (reply as FastifyReply).status(known.http_status).send(error_body(known));
    },
    routerOptions: { maxParamLength: LIMITS.param_length },
    http: {
      maxHeaderSize: LIMITS.header_bytes,
      headersTimeout: LIMITS.headers_ms,
      connectionsCheckingInterval: LIMITS.check_ms,
    },
  });
  app.server.maxHeadersCount = LIMITS.headers;
  app.server.maxConnections = LIMITS.connections;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) => {
    const known = to_supervisor_error(error);
    if (known.code === "internal") services.log.error({ err: error }, "a request failed by a defect");
    return reply.status(known.http_status).send(error_body(known));
  });
  app.setNotFoundHandler((request, reply) => {
    const known = new SupervisorError(
      "not_found",
      `no ${request.method} ${request.url.slice(0, 200)}; see /openapi.json`,
    );
    return reply.status(known.http_status).send(error_body(known));
  });
  add_body_parsers(app);
  await app.register(rate_limit, {
    max: LIMITS.requests_a_second,
    timeWindow: 1000,
    cache: LIMITS.counts_kept,
    // On a unix socket nobody has an address: each operation on each agent is counted by itself.
    keyGenerator: ({ routeOptions, params }) => `${routeOptions.url} ${(params as { agent?: string }).agent ?? ""}`,
    errorResponseBuilder: (_request, { max }) =>
      new SupervisorError("too_many_requests", `more than ${max} requests a second; ask less often`),
  });
  await add_openapi(app);
  for (const name of Object.keys(OPERATIONS) as OperationName[]) add_route(app, services, name, HANDLERS);
  await rm(services.socket, { force: true });
  // As many as may be served may come at once; the kernel has a limit of its own (net.core.somaxconn).
  await app.listen({ path: services.socket, backlog: LIMITS.connections });
  app.server.on("error", (error) =>
    services.log.warn({ error: trouble(error) }, "a connection could not be accepted; whoever made it tries again"),
  );
  await chmod(services.socket, 0o600);
  return app;
}

/** JSON; nothing at all is the empty object, so that `curl -X POST` does where every field has a default. */
function add_body_parsers(app: FastifyInstance): void {
  const parse_json = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser<string>("application/json", { parseAs: "string" }, (request, body, done) => {
    if (body === "") done(null, {});
    else void parse_json(request, body, (error, value) => done(error && why_not_taken(error, body), value));
  });
  app.addContentTypeParser<Buffer>("*", { parseAs: "buffer" }, (_request, body, done) => {
    if (body.length === 0) done(null, {});
    else
      done(
        new SupervisorError("invalid_request", "a body must be JSON, with the header 'content-type: application/json'"),
      );
  });
  app.addHook("preValidation", async (request) => {
    if (request.method === "POST") request.body ??= {};
  });
}

/** The parser says of every body that it is not JSON, also of one with a field that would reach into an object's prototype. */
function why_not_taken(error: Error, body: string): Error {
  try {
    JSON.parse(body);
  } catch (reason) {
    if (!(reason instanceof SyntaxError)) throw reason;
    return new SupervisorError("invalid_request", `the body is not JSON: ${message_of(reason)}`, { cause: error });
  }
  return new SupervisorError(
    "invalid_request",
    "the body has a field named '__proto__', or 'constructor' with a 'prototype' in it, which no request may have; give it another name",
    { cause: error },
  );
}

/** One operation, with all that an operation may have. */
const operation_of = (name: OperationName): Operation => OPERATIONS[name];

function add_route(app: FastifyInstance, services: Services, name: OperationName, handlers: Handlers): void {
  const { method, path, description, params, query, body, stream, content_type } = operation_of(name);
  app.route({
    method,
    url: path,
    // No response schema here: serialising by one would drop the fields that other versions and programs added to an agent's record.
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
      // Who follows knows that it is connected before there is anything to tell. Not otherwise: what fails at its first byte is an error with a status.
      const { follow } = request.query as { follow?: boolean };
      if (follow) reply.raw.once("pipe", () => reply.raw.flushHeaders());
      return reply
        .type(content_type ?? "application/octet-stream")
        .send(Readable.from(result as Stream, { objectMode: false }));
    },
  });
}
