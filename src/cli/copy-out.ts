/** A stream from the daemon onto stdout. */
import { pipeline } from "node:stream/promises";
import { StringDecoder } from "node:string_decoder";
import type { Client } from "../client/client.ts";
import { is_errno } from "../contract/errors.ts";

/** Copies what the client was answered to stdout, through `clean` for a person's terminal, else byte for byte. A reader that leaves (`| head`) is no error. */
export async function copy_out(
  client: Client,
  stream: AsyncIterable<Buffer>,
  clean: ((text: string) => string) | null,
): Promise<void> {
  const decoder = new StringDecoder("utf8");
  const shown = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) yield clean ? clean(decoder.write(chunk)) : chunk;
    if (clean) yield clean(decoder.end());
  };
  try {
    await pipeline(stream, shown, process.stdout, { end: false });
  } catch (error) {
    if (is_errno(error, "EPIPE")) return;
    throw client.gone("while", error);
  }
}
