/**
 * An end of this process that waits for no thread of it. exit(3) and `process.exit` let each thread come to its end first; the kernel's own exit (exit_group(2)) takes along also
 * those that wait in it for something that may be killed. Run by the daemon as its very last act, and only while its thread that looks is at work, or is not loaded yet.
 */
import { createRequire } from "node:module";

/** Does not return. Where koffi cannot be loaded it is an end by SIGKILL: its exit code is lost, but not the end. */
export function leave_at_once(code: number): void {
  try {
    // Nothing can be awaited any more.
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    koffi.load(null).func("void _exit(int code)")(code);
  } catch {
    // Whatever it is that keeps koffi from being called.
    process.kill(process.pid, "SIGKILL");
  }
}
