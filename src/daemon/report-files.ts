/** Reads reports back: from where they are written, from trash, or from the archive. Lines that are not whole reports are counted. */
import type { z } from "zod";
import type { AgentRecord } from "../contract/agent.ts";
import { lines_of } from "./logs/lines.ts";
import { gunzipped, skipped } from "./logs/log-stream.ts";
import { LOOKS, Moved, was_moved } from "./logs/moved.ts";
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
  for await (const line of lines_of(bytes_of(services, agent, role), LINE_LIMIT)) {
    const report = schema.safeParse(parse(line.text));
    if (report.success) yield report.data;
    else unreadable();
  }
}

/** The file's bytes; when it is set aside or archived meanwhile, it is read on from there. Nothing when there is none. */
async function* bytes_of(services: Services, agent: AgentRecord, role: string): AsyncGenerator<Buffer> {
  const path = own_file(services, agent, role);
  if (!path) return;
  const { dir } = services.registry.task_of(agent);
  let at = 0;
  for (let look = 1; look <= LOOKS; look++) {
    try {
      const place = await place_of(dir, path);
      if (place === null) return;
      // By the readers, which let go when the agent ends: the daemon must not be the one that holds the file.
      const chunks =
        place.kind === "archive"
          ? skipped(await gunzipped(place.path), at)
          : services.readers.read(agent.id, place.path, at, new AbortController().signal);
      for await (const chunk of chunks) {
        at += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      if (!was_moved(error)) throw error;
    }
  }
  throw new Moved(path);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
