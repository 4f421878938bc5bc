/** The lines of an open file with their places, in blocks: a journal is read at a start, and must not be in memory as a whole. */
import type { FileHandle } from "node:fs/promises";

const BLOCK_BYTES = 256 * 1024;

export interface Scanned {
  text: string;
  /** Where the line begins, and how long it is without its end, in bytes. */
  offset: number;
  length: number;
}

/** Calls `on_line` for each line that has an end. Returns what follows the last of them: a line without an end, empty mostly. */
export async function scan_lines(file: FileHandle, on_line: (line: Scanned) => void): Promise<Scanned> {
  const block = Buffer.alloc(BLOCK_BYTES);
  let parts: Buffer[] = [];
  let length = 0;
  let begin = 0;
  let at = 0;
  for (;;) {
    const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, at);
    if (bytesRead === 0) return { text: Buffer.concat(parts).toString(), offset: begin, length };
    let from = 0;
    for (let end = block.indexOf(0x0a); end >= 0 && end < bytesRead; end = block.indexOf(0x0a, from)) {
      parts.push(block.subarray(from, end));
      length += end - from;
      on_line({ text: Buffer.concat(parts).toString(), offset: begin, length });
      parts = [];
      length = 0;
      from = end + 1;
      begin = at + from;
    }
    if (from < bytesRead) {
      parts.push(Buffer.from(block.subarray(from, bytesRead)));
      length += bytesRead - from;
    }
    at += bytesRead;
  }
}
