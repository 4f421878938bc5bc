/**
 * What is typed into the agent's terminal. Not by the stream that reads it: for the master of a pty libuv falls back to writes that block, and as the descriptor does not block
 * it asks the kernel again and again, and nothing else, for as long as the agent does not read. Its host would hear and log nothing meanwhile.
 */
import { writeSync } from "node:fs";
import { is_errno, trouble } from "../contract/errors.ts";

/** Bytes typed but not yet taken by the kernel before more is refused: the agent does not read. The kernel itself holds 4 KB and more. */
const INPUT_LIMIT_BYTES = 64 * 1024;
/** When the kernel is asked again that had no room, in ms: what is typed is seldom more than it takes at once, and a person does not notice so much. */
const AGAIN_MS = 50;

export class Typing {
  private waiting: Buffer[] = [];
  private bytes = 0;
  private again: NodeJS.Timeout | null = null;

  /** `fd` must not block: it is written to by this thread, so that nothing waits which would go to whatever has its number later. */
  constructor(
    private readonly fd: number,
    private readonly is_closed: () => boolean,
  ) {}

  /** What became of text that had been taken and could not be written later, in words; null while all of it was. */
  lost: string | null = null;

  /**
   * False when the agent has not read what was typed before; then nothing of it was taken. The error when the terminal did not take it, or not all. Never
   * throws: whatever it is, the agent's output is still to be logged.
   */
  type(data: Buffer): boolean | Error {
    if (this.is_closed() || this.bytes + data.length > INPUT_LIMIT_BYTES) return false;
    this.waiting.push(data);
    this.bytes += data.length;
    return this.again ? true : (this.go_on() ?? true);
  }

  /** Writes what waits, as far as there is room. On an error nothing waits any more. */
  private go_on(): Error | null {
    this.again = null;
    for (let [first] = this.waiting; first && !this.is_closed(); [first] = this.waiting) {
      const taken = this.write(first);
      if (taken instanceof Error) {
        this.waiting = [];
        this.bytes = 0;
        return taken;
      }
      this.bytes -= taken;
      if (taken === first.length) this.waiting.shift();
      else this.waiting[0] = first.subarray(taken);
      if (taken > 0 || first.length === 0) continue;
      this.again = setTimeout(() => this.go_on_later(), AGAIN_MS);
      // An agent that never reads keeps no host.
      this.again.unref();
      return null;
    }
    return null;
  }

  /** Whoever typed it was told that it was taken. */
  private go_on_later(): void {
    const { bytes } = this;
    const error = this.go_on();
    if (error)
      this.lost ??= `of ${bytes} bytes that were typed and waited not all reached the terminal: ${trouble(error)}`;
  }

  /** The bytes that the kernel took, 0 when it has no room; or its error (EIO: the terminal is torn down). */
  private write(data: Buffer): number | Error {
    try {
      return writeSync(this.fd, data);
    } catch (error) {
      return is_errno(error, "EAGAIN") ? 0 : (error as Error);
    }
  }
}
