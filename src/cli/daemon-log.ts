/** The daemon's log on stderr: JSON lines, or for a person's terminal readable ones without anything a terminal obeys. */
import pino, { type Logger } from "pino";
import pretty from "pino-pretty";
import { printable } from "../contract/printable.ts";

export function daemon_log(level: string): Logger {
  return process.stderr.isTTY
    ? readable_log(level, pretty({ destination: 2, ignore: "pid,hostname", sync: true }))
    : pino({ level }, pino.destination({ dest: 2, sync: true }));
}

/** Values are cleaned before pino-pretty sees them: what it prints itself (colours) is its own, what stands in a field may be an agent's. */
export function readable_log(level: string, shown: { write(line: string): unknown }): Logger {
  const clean = (_key: string, value: unknown) => (typeof value === "string" ? printable(value) : value);
  return pino({ level }, { write: (line) => void shown.write(`${JSON.stringify(JSON.parse(line, clean))}\n`) });
}
