/**
 * The last bytes of several streams, in the order in which they came. In one piece of memory that is used again: a flood would otherwise leave tens of megabytes that
 * nobody collects in a host that idles afterwards (measured: 45 MB). Only what was ever filled of it is resident.
 */
export class ViewRing<Stream> {
  /** Twice the size, so that it is seldom moved to the front. Made when something comes for the first time. */
  private memory: Buffer | null = null;
  private begin = 0;
  private end = 0;
  private parts: { length: number; from: Stream }[] = [];
  /** Streams of which something was dropped since they were last taken out. */
  private readonly gaps = new Set<Stream>();

  constructor(private readonly size: number) {}

  /** Copies a chunk in, and drops the oldest for it. Of a chunk that is larger than the ring its end is kept. */
  push(chunk: Buffer, from: Stream): void {
    const kept = chunk.subarray(Math.max(0, chunk.length - this.size));
    if (kept.length < chunk.length) this.gaps.add(from);
    while (this.end - this.begin > this.size - kept.length) this.drop_oldest();
    if (this.begin === this.end) {
      this.begin = 0;
      this.end = 0;
    }
    this.memory ??= Buffer.allocUnsafeSlow(2 * this.size);
    if (this.end + kept.length > this.memory.length) {
      this.memory.copyWithin(0, this.begin, this.end);
      this.end -= this.begin;
      this.begin = 0;
    }
    kept.copy(this.memory, this.end);
    this.end += kept.length;
    this.parts.push({ length: kept.length, from });
  }

  /** The oldest chunk; its bytes are good until the next `push`. `after_gap`: something of its stream is missing before it. */
  shift(): { chunk: Buffer; from: Stream; after_gap: boolean } | null {
    const part = this.parts.shift();
    if (!part) return null;
    const chunk = (this.memory as Buffer).subarray(this.begin, this.begin + part.length);
    this.begin += part.length;
    return { chunk, from: part.from, after_gap: this.gaps.delete(part.from) };
  }

  clear(): void {
    this.parts = [];
    this.begin = 0;
    this.end = 0;
  }

  private drop_oldest(): void {
    const part = this.parts.shift() as { length: number; from: Stream };
    this.begin += part.length;
    this.gaps.add(part.from);
  }
}
