/** Named pipes. Node cannot make any. */
import { message_of } from "../contract/errors.ts";
import { start_program } from "./program.ts";

/** mkfifo(1) has nothing to wait for; past this the file system hangs. In ms. */
const DEADLINE_MS = 5_000;

/** Makes named pipes, mode 0600. Rejects when one cannot be made, or is there already. */
export async function make_fifos(...paths: string[]): Promise<void> {
  const { ended } = await start_program("mkfifo", ["-m", "600", ...paths], { timeout: DEADLINE_MS, cwd: "/" });
  const { exit_code, signal, stderr, error } = await ended;
  if (exit_code === 0) return;
  const why = error ?? (signal ? `it was ended by ${signal} (its deadline is ${DEADLINE_MS} ms)` : stderr);
  throw new Error(`mkfifo failed: ${message_of(why)}`);
}
