/** Named pipes. Node cannot make any. */
import { execa } from "execa";

/** mkfifo(1) has nothing to wait for; past this the file system hangs. In ms. */
const DEADLINE_MS = 5_000;

/** Makes named pipes, mode 0600. Rejects when one cannot be made, or is there already. */
export async function make_fifos(...paths: string[]): Promise<void> {
  await execa("mkfifo", ["-m", "600", ...paths], { timeout: DEADLINE_MS, stdin: "ignore", cwd: "/" });
}
