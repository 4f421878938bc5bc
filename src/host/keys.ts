/**
 * What is typed in a pane, key by key, and how large the pane is. In raw mode `C-s` and `C-c` are the agent's, not the host's.
 * The first pane is the host's own terminal. A later one belongs to a placeholder (see drivers/tmux/placeholder.ts), whose terminal does not signal
 * the host: there, the end of the terminal tells of a hang-up, and the placeholder writes each new size into a named pipe.
 */
import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { ReadStream, WriteStream } from "node:tty";
import type { PaneRequest } from "../contract/host-protocol.ts";
import { line_reader } from "../contract/json-lines.ts";

/** `ROWS COLUMNS`: whoever writes more into the pipe is not the placeholder. In characters. */
const SIZE_LIMIT = 100;

export interface KeyHandlers {
  typed(data: Buffer): void;
  resized(size: [cols: number, rows: number]): void;
  /** The terminal is gone: its session was killed, or the tmux server died. */
  hung_up(): void;
}

export interface Keys {
  /** The pane's size now, or null while it is not known. */
  size(): [number, number] | null;
  /** No handler is called any more. */
  stop(): void;
}

/** The keys of the host's own terminal. */
export function own_keys(handlers: KeyHandlers): Keys {
  const input = process.stdin instanceof ReadStream ? process.stdin : null;
  const output = process.stdout instanceof WriteStream ? process.stdout : null;
  if (input) listen(input, handlers);
  output?.on("error", () => output.destroy());
  const size = () => output?.getWindowSize() ?? null;
  const resized = () => {
    const now = size();
    if (now) handlers.resized(now);
  };
  output?.on("resize", resized);
  return {
    size,
    stop: () => {
      input?.destroy();
      output?.off("resize", resized);
    },
  };
}

/** The keys of a placeholder's terminal. Throws the system's error when it is gone already; then nothing is left open. */
export function placeholder_keys({ tty, life, sizes }: PaneRequest, handlers: KeyHandlers): Keys {
  const undo: (() => void)[] = [];
  const open = (path: string, flags: number) => {
    const fd = openSync(path, flags | constants.O_NONBLOCK);
    undo.push(() => closeSync(fd));
    return fd;
  };
  try {
    // For both ends, so that opening never waits. The placeholder reads the first until its end, which comes when this host is gone.
    open(life, constants.O_RDWR);
    const pipe = openSync(sizes, constants.O_RDWR | constants.O_NONBLOCK);
    const told = new Socket({ fd: pipe, readable: true, writable: false });
    undo.push(() => told.destroy());
    // Not the host's controlling terminal: it has a leader. libuv opens it once more; this descriptor stays ours to close.
    const input = new ReadStream(open(tty, constants.O_RDWR | constants.O_NOCTTY));
    undo.push(() => input.destroy());
    let size: [number, number] | null = null;
    const take = (line: string) => {
      const [rows, cols] = line.split(" ").map(Number);
      if (!rows || !cols) return;
      size = [cols, rows];
      handlers.resized(size);
    };
    const lines = line_reader(SIZE_LIMIT, take, () => told.destroy());
    told.on("data", (chunk) => lines.push(chunk));
    listen(input, handlers);
    return {
      size: () => size,
      stop: () => {
        for (const back of undo.reverse()) back();
      },
    };
  } catch (error) {
    for (const back of undo.reverse()) back();
    throw error;
  }
}

function listen(input: ReadStream, { typed, hung_up }: KeyHandlers): void {
  input.setRawMode(true);
  input.on("data", typed);
  input.once("end", hung_up);
  // EIO, when the terminal goes away in the middle of a read.
  input.once("error", () => {
    input.destroy();
    hung_up();
  });
}
