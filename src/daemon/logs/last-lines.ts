/** Where the last lines of a file begin, however large it is: it is read backwards, in blocks, and none of them is kept. */
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { open_in_place } from "../../drivers/in-place.ts";

const BLOCK_BYTES = 64 * 1024;

/** Where last lines begin, and how many they are. */
export interface Tail {
  position: number;
  lines: number;
}

/** Where the last `count` lines of a file begin. */
export async function position_of_last_lines(path: string, count: number): Promise<Tail> {
  const handle = await open_in_place(path, constants.O_RDONLY);
  try {
    return await scan_back(handle, count, () => false);
  } finally {
    await handle.close();
  }
}

/** As `position_of_last_lines`, in an open file; gives up when `stopped`. */
export async function scan_back(handle: FileHandle, count: number, stopped: () => boolean): Promise<Tail> {
  const { size } = await handle.stat();
  if (count <= 0 || size === 0) return { position: size, lines: 0 };
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let newlines = 0;
  for (let end = size; end > 0 && !stopped(); ) {
    const start = Math.max(0, end - BLOCK_BYTES);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      // The newline that ends the last line begins no further one.
      if (block[i] !== 0x0a || start + i === size - 1) continue;
      if (++newlines === count) return { position: start + i + 1, lines: count };
    }
    end = start;
  }
  return { position: 0, lines: newlines + 1 };
}

/** As `position_of_last_lines`, of bytes that come from the beginning on and cannot be read backwards (an archive). Keeps where lines begin, and no bytes. */
export async function position_of_last(chunks: AsyncIterable<Buffer>, count: number): Promise<number> {
  let begins = [0];
  let at = 0;
  for await (const chunk of chunks) {
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, end + 1)) begins.push(at + end + 1);
    at += chunk.length;
    // The last one may turn out to be the end.
    if (begins.length > 2 * count + 64) begins = begins.slice(-count - 1);
  }
  if (begins.at(-1) === at) begins.pop();
  return count === 0 ? at : (begins.at(-count) ?? begins[0] ?? at);
}
