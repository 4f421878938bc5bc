/** Named pipes. Node cannot make any. */
import { start_program } from "./program.ts";

/** mkfifo(1) has nothing to wait for; past this the file system hangs. In ms. */
const DEADLINE_MS = 5_000;

/** Makes named pipes, mode 0600. Rejects when one cannot be made, or is there already. */
export async function make_fifos(...paths: string[]): Promise<void> {
  const options = { timeout: DEADLINE_MS, stdin: "ignore", cwd: "/" } as const;
  const { child } = await start_program("mkfifo", ["-m", "600", ...paths], options);
  await child;
}
