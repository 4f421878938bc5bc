/** `/openapi.json`, from the operations table. Answers are described here only; they are not serialised by their schemas. */
import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { jsonSchemaTransform } from "fastify-type-provider-zod";
import { z } from "zod";
import { ERRORS, type ErrorCode } from "../../contract/errors.ts";
import { supervisor_event } from "../../contract/operations/supervisor.ts";
import { OPERATIONS, type OperationName } from "../../contract/operations.ts";
import { VERSION } from "../version.ts";

const api_error = z.object({
  success: z.literal(false),
  error: z.string(),
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
});

/** What a stream is made of, by operation. */
const STREAMS: Partial<Record<OperationName, { type: string; schema: unknown }>> = {
  events: {
    type: "application/x-ndjson",
    schema: z.toJSONSchema(supervisor_event, { io: "output", target: "openapi-3.0" }),
  },
  metrics: { type: "text/plain", schema: { type: "string" } },
};
const BYTES = { type: "application/octet-stream", schema: { type: "string", format: "binary" } };

export async function add_openapi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      info: { title: "agent-supervisor", version: VERSION, description: "HTTP over the daemon's unix socket." },
    },
    transform: (input) => {
      const name = (input.schema as { operationId?: string } | undefined)?.operationId as OperationName | undefined;
      if (!name) return jsonSchemaTransform(input);
      const { response, stream } = OPERATIONS[name] as { response: z.ZodType; stream?: boolean };
      const schema = { ...input.schema, response: { 200: stream ? z.unknown() : response, default: api_error } };
      const described = jsonSchemaTransform({ ...input, schema });
      leave_open((described.schema as { response: unknown }).response);
      if (stream) describe_stream(described.schema, STREAMS[name] ?? BYTES);
      return described;
    },
  });
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}

/** Answers only gain fields, and an agent's record carries those of other programs: a client must not refuse what it does not know. */
function leave_open(schema: unknown): void {
  if (typeof schema !== "object" || schema === null) return;
  const open = schema as { additionalProperties?: unknown };
  if (open.additionalProperties === false) delete open.additionalProperties;
  for (const part of Object.values(schema)) leave_open(part);
}

function describe_stream(schema: unknown, { type, schema: content }: { type: string; schema: unknown }): void {
  const { response } = schema as { response: Record<string, unknown> };
  response[200] = { description: "A stream.", content: { [type]: { schema: content } } };
}
