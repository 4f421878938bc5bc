/** Lines of text from another process, with a bound on what an unfinished line may cost. Pure. For the host, too, where node:readline would cost 0.3 MB. */
import { StringDecoder } from "node:string_decoder";

export interface LineReader {
  push(chunk: Buffer): void;
}

/** Calls `on_line` for each line; `on_overflow` once, when a line is longer than `limit` (in UTF-16 units), and then nothing any more. */
export function line_reader(limit: number, on_line: (line: string) => void, on_overflow: () => void): LineReader {
  const decoder = new StringDecoder("utf8");
  let parts: string[] = [];
  let length = 0;
  let overflown = false;
  const keep = (text: string): boolean => {
    length += text.length;
    if (length > limit) {
      overflown = true;
      parts = [];
      on_overflow();
      return false;
    }
    parts.push(text);
    return true;
  };
  return {
    push(chunk) {
      if (overflown) return;
      let rest = decoder.write(chunk);
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        if (!keep(rest.slice(0, end))) return;
        const line = parts.join("");
        parts = [];
        length = 0;
        rest = rest.slice(end + 1);
        on_line(line);
        if (overflown) return;
      }
      keep(rest);
    },
  };
}
