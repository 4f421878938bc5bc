/** Reads reports back: from where they are written, from trash, or from the archive. Lines that are not whole reports are counted. */
import type { z } from "zod";
import type { AgentRecord } from "../contract/agent.ts";
import { lines_of } from "./logs/lines.ts";
import { gunzipped } from "./logs/log-stream.ts";
import { own_file } from "./own-file.ts";
import type { Services } from "./services.ts";
import { place_of } from "./tracked-place.ts";

/** Longer than any report: a million characters of message and as many of data, each of up to six bytes (\u0000) in JSON. */
const LINE_LIMIT = 16 * 1024 * 1024;

/** The whole reports of a file, oldest first; `unreadable` is called for each line that is none. */
export async function* reports_of<T>(
  services: Services,
  agent: AgentRecord,
  role: "progress_file" | "findings_file",
  schema: z.ZodType<T>,
  unreadable: () => void = () => undefined,
): AsyncGenerator<T> {
  const chunks = await open_file(services, agent, role);
  if (!chunks) return;
  for await (const line of lines_of(chunks, LINE_LIMIT)) {
    const report = schema.safeParse(parse(line.text));
    if (report.success) yield report.data;
    else unreadable();
  }
}

async function open_file(services: Services, agent: AgentRecord, role: string): Promise<AsyncIterable<Buffer> | null> {
  const path = own_file(services, agent, role);
  if (!path) return null;
  const place = await place_of(services.registry.task_of(agent).dir, path);
  if (place === null) return null;
  if (place.kind === "archive") return gunzipped(place.path);
  // By the readers, which let go when the agent ends: the daemon must not be the one that holds the file.
  const signal = new AbortController().signal;
  return services.readers.read(agent.id, place.path, { position: 0, follow: false, signal });
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
