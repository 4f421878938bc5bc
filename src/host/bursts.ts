/**
 * Reads on where Node's stream stops. A terminal gives 4095 bytes a read at most (N_TTY_BUF_SIZE in the kernel's n_tty.c), and libuv takes a read that
 * does not fill its 64 KB for the last one of a turn: a flood costs a turn of the event loop, a buffer and an event for each 4 KB. Here the
 * descriptor, which never blocks, is read until it is empty, into memory that is used again. How much in one turn has a bound, so that the host
 * answers meanwhile.
 */
import { readSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";

/** A first read of at least this much says that more is probably there; a program that prints line by line never pays for a second look. In bytes. */
const FULL_READ_BYTES = 4095;
/** At most this much more in a turn: 1 to 2 ms of reading (100 MB/s were measured). In bytes. */
const BURST_BYTES = 128 * 1024;
/** A slab with less room than this is full: a read should not be cut short by it. In bytes. */
const SMALLEST_ROOM_BYTES = 4096;
/** Slabs that are kept for the next flood. One is read into while one is written. */
const KEPT_SLABS = 2;

/** What a burst got. `release` gives its memory back for the next one: nobody may look at `bytes` afterwards. */
export interface Burst {
  bytes: Buffer;
  release(): void;
}

export class Bursts {
  private readonly slabs: Buffer[] = [];

  /** `fd` is non-blocking, and read by a stream of Node's, which tells of all errors. */
  constructor(private readonly fd: number) {}

  /** What the kernel has beyond `first`, which the stream has just read; null when that was probably all. */
  after(first: Buffer): Burst | null {
    if (first.length < FULL_READ_BYTES) return null;
    const slab = this.slabs.pop() ?? Buffer.allocUnsafeSlow(BURST_BYTES);
    const release = () => {
      if (this.slabs.length < KEPT_SLABS) this.slabs.push(slab);
    };
    let length = 0;
    while (slab.length - length >= SMALLEST_ROOM_BYTES) {
      const got = this.read(slab, length);
      if (got === 0) break;
      length += got;
    }
    if (length > 0) return { bytes: slab.subarray(0, length), release };
    release();
    return null;
  }

  private read(slab: Buffer, at: number): number {
    try {
      return readSync(this.fd, slab, at, slab.length - at, null);
    } catch (error) {
      // EAGAIN: that was all. EIO: the stream will meet it, too, and knows what to do.
      if (is_errno(error, "EAGAIN", "EIO")) return 0;
      throw error;
    }
  }
}
