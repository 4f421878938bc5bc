/** The pieces of an answer, within a number of lines and of bytes. */
import type { Shown } from "./format.ts";

/** The newest pieces that fit. Taken either from the newest on, or from the oldest on, forgetting. */
export class Picked {
  pieces: Shown[] = [];
  truncated = false;
  earlier = false;
  private bytes = 0;

  constructor(
    private readonly count: number,
    private readonly max_bytes: number,
  ) {}

  get full(): boolean {
    return this.pieces.length >= this.count;
  }

  /** False when there is no room for the piece. */
  add_older(piece: Shown | null): boolean {
    if (!piece) return true;
    const fits = this.fitting(piece, this.pieces.length === 0);
    if (!fits) {
      this.earlier = true;
      return false;
    }
    this.pieces.unshift(fits);
    this.bytes += size_of(fits);
    return true;
  }

  add_newer(piece: Shown | null): void {
    if (!piece) return;
    this.pieces.push(piece);
    this.bytes += size_of(piece);
    while (this.pieces.length > this.count || (this.bytes > this.max_bytes && this.pieces.length > 1)) {
      if (this.pieces.length <= this.count) this.truncated = true;
      this.bytes -= size_of(this.pieces.shift() as Shown);
      this.earlier = true;
    }
    const [only] = this.pieces;
    if (only && this.bytes > this.max_bytes) {
      this.bytes = 0;
      this.pieces = [this.fitting(only, true) as Shown];
      this.bytes = size_of(this.pieces[0] as Shown);
    }
  }

  /** The piece if there is room for it. The newest is always given, cut if it must be: an answer of nothing would help nobody. */
  private fitting(piece: Shown, newest: boolean): Shown | null {
    if (this.bytes + size_of(piece) <= this.max_bytes) return piece;
    if (this.pieces.length < this.count) this.truncated = true;
    if (!newest) return null;
    const kept = Buffer.from(piece.text)
      .subarray(0, this.max_bytes)
      .toString("utf8")
      .replace(/\uFFFD$/, "");
    return { ...piece, text: `${kept} [${Buffer.byteLength(piece.text) - Buffer.byteLength(kept)} bytes more]` };
  }
}

const size_of = ({ text, joins }: Shown) => Buffer.byteLength(text) + (joins === null ? 1 : 0);
