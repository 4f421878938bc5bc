/** The daemon's log on stderr: JSON lines, or for a person's terminal readable ones without anything a terminal obeys. */
import pino, { type Logger } from "pino";
import pretty from "pino-pretty";
import { printable } from "../contract/printable.ts";

/** What is kept while stderr is a file that takes nothing (a full disk), and written when it does again; what comes beyond is dropped. In bytes. */
const UNWRITTEN_BYTES = 1024 * 1024;

export function daemon_log(level: string): Logger {
  if (process.stderr.isTTY) return readable_log(level, pretty({ destination: 2, ignore: "pid,hostname", sync: true }));
  const stderr = pino.destination({ dest: 2, sync: true, maxLength: UNWRITTEN_BYTES });
  // It would be thrown where something is logged, in the middle of anything; and the next line tries again.
  stderr.on("error", () => undefined);
  return pino({ level }, stderr);
}

/** Values are cleaned before pino-pretty sees them: what it prints itself (colours) is its own, what stands in a field may be an agent's. */
export function readable_log(level: string, shown: { write(line: string): unknown }): Logger {
  const clean = (_key: string, value: unknown) => (typeof value === "string" ? printable(value) : value);
  return pino({ level }, { write: (line) => void shown.write(`${JSON.stringify(JSON.parse(line, clean))}\n`) });
}
