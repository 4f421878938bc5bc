/** A stream from the daemon onto stdout. */
import { pipeline } from "node:stream/promises";
import { StringDecoder } from "node:string_decoder";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";

/** Copies to stdout, through `clean` for a person's terminal, else byte for byte. A reader that leaves (`| head`) is no error. */
export async function copy_out(stream: AsyncIterable<Buffer>, clean: ((text: string) => string) | null): Promise<void> {
  const decoder = new StringDecoder("utf8");
  const shown = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) yield clean ? clean(decoder.write(chunk)) : chunk;
    if (clean) yield clean(decoder.end());
  };
  try {
    await pipeline(stream, shown, process.stdout, { end: false });
  } catch (error) {
    if (is_errno(error, "EPIPE")) return;
    throw new SupervisorError("daemon_gone", `the supervisor went away while it answered (${message_of(error)})`);
  }
}
