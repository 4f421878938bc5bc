/**
 * How a person sees the agent: a pane of tmux, and after the death of a tmux server another one. A view is never needed: while there is none,
 * the agent runs on, and what it prints is in its log.
 */
import { open } from "node:fs/promises";
import type { PaneRequest } from "../contract/host-protocol.ts";
import { type KeyHandlers, type Keys, own_keys, placeholder_keys } from "./keys.ts";
import { Pane, type ViewFilter } from "./pane.ts";
import { PlainView } from "./plain-view.ts";

/** What a new pane shows of each log at first: about two screens of 200 columns. In bytes. */
const TAIL_BYTES = 16 * 1024;

export class View {
  private pane: Pane;
  private keys: Keys;
  /** True while the pane is the host's own terminal, whose end the kernel tells by SIGHUP. */
  is_own_terminal = true;

  /** Opens the host's own terminal; when that is gone already, the view is lost from the beginning. */
  constructor(private readonly handlers: KeyHandlers) {
    this.pane = new Pane("/dev/tty");
    this.keys = own_keys(this.handlers);
  }

  get state(): "open" | "lost" {
    return this.pane.open ? "open" : "lost";
  }

  size(): [number, number] | null {
    return this.keys.size();
  }

  /** Shows a chunk of a stream, now or soon, or skips it. Never blocks, never throws. */
  show(chunk: Buffer, filter: ViewFilter): void {
    this.pane.show(chunk, filter);
  }

  /** Moves to another pane, which begins with the end of the logs. Rejects when its terminal is gone already; the view is then lost. */
  async move(request: PaneRequest, logs: readonly string[]): Promise<void> {
    const tails = await Promise.all(logs.map(tail_of));
    this.close();
    const pane = new Pane(request.tty);
    if (!pane.open) throw new Error(`the terminal ${request.tty} cannot be opened`);
    try {
      this.keys = placeholder_keys(request, this.handlers);
    } catch (error) {
      pane.close();
      throw error;
    }
    this.is_own_terminal = false;
    this.pane = pane;
    // What was asked of a terminal then was answered then, or never: it is not asked again.
    for (const tail of tails) pane.show(tail, new PlainView());
  }

  /** Gives the last output one more chance to be drawn, and closes. Also when the pane is gone. */
  close(): void {
    this.keys.stop();
    this.keys = { size: () => null, stop: () => {} };
    this.pane.close();
  }
}

/** The end of a log, from the beginning of a line. A log that cannot be read is not shown. */
async function tail_of(path: string): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const from = Math.max(0, size - TAIL_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
      return buffer.subarray(from > 0 ? buffer.indexOf(0x0a) + 1 : 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    return Buffer.from(`(the log cannot be shown: ${(error as Error).message})\r\n`);
  }
}
