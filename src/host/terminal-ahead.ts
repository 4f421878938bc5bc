/**
 * A headless terminal, opened while the host waits for its agent: setting one up takes a process (stty), and most agents are headless. Run by the
 * host. An agent that wants another kind gets its own, and this one is given back.
 */
import { closeSync } from "node:fs";
import { DEFAULT_SIZE, open_terminal, type Terminal } from "./terminal.ts";

export class TerminalAhead {
  private opening: Promise<Terminal | null> = Promise.resolve(null);

  /** Begins. Where none can be had the launch tries again, and says why. */
  open(): void {
    this.opening = open_terminal("headless", DEFAULT_SIZE).catch(() => null);
  }

  /** The terminal, for an agent of this mode; null when it must open one itself. */
  async take(mode: "headless" | "interactive"): Promise<Terminal | null> {
    const opening = this.opening;
    this.opening = Promise.resolve(null);
    const terminal = await opening;
    if (!terminal || mode === "headless") return terminal;
    terminal.output.destroy();
    closeSync(terminal.slave_fd);
    return null;
  }
}
