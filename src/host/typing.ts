/**
 * What is typed into the agent's terminal. Not by the stream that reads it: for the master of a pty libuv falls back to writes that block, and as the descriptor does not block
 * it asks the kernel again and again, and nothing else, for as long as the agent does not read. Its host would hear and log nothing meanwhile.
 */
import { writeSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";

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

  /** False when the agent has not read what was typed before; then nothing of it was taken. */
  type(data: Buffer): boolean {
    if (this.is_closed() || this.bytes + data.length > INPUT_LIMIT_BYTES) return false;
    this.waiting.push(data);
    this.bytes += data.length;
    if (!this.again) this.go_on();
    return true;
  }

  private go_on(): void {
    this.again = null;
    for (let [first] = this.waiting; first && !this.is_closed(); [first] = this.waiting) {
      const taken = this.write(first);
      this.bytes -= taken;
      if (taken === first.length) this.waiting.shift();
      else this.waiting[0] = first.subarray(taken);
      if (taken > 0 || first.length === 0) continue;
      this.again = setTimeout(() => this.go_on(), AGAIN_MS);
      // An agent that never reads keeps no host.
      this.again.unref();
      return;
    }
  }

  /** The bytes that the kernel took; 0 when it has no room. */
  private write(data: Buffer): number {
    try {
      return writeSync(this.fd, data);
    } catch (error) {
      if (is_errno(error, "EAGAIN")) return 0;
      // EIO: the terminal is torn down, there is nobody to type to. Whatever else it is, the agent's output is still to be logged: nothing is thrown here.
      return data.length;
    }
  }
}
