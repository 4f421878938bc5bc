/** Where a log is cut into parts: between lines, as long as lines are of a reasonable length. Pure. */

const NEWLINE = 0x0a;
/** How far a part may grow over its limit in order to end with a whole line, in bytes. A longer line is cut. */
export const LINE_SLACK_BYTES = 1024 * 1024;

/**
 * How many bytes of a chunk still belong to this part; 0 when it is full. `room` is what the limit leaves (negative when a line has already
 * gone over it), `at_line_start` whether it ends with a whole line now
 * (false when it is empty).
 */
export function end_of_part(chunk: Buffer, { room, at_line_start }: { room: number; at_line_start: boolean }): number {
  if (chunk.length <= room) return chunk.length;
  const within = room > 0 ? chunk.lastIndexOf(NEWLINE, room - 1) + 1 : 0;
  if (within > 0) return within;
  // The next line does not fit: it begins a new part. One that was begun, or that fits nowhere, goes on over the limit.
  if (at_line_start) return 0;
  const most = Math.max(0, room + LINE_SLACK_BYTES);
  const line_end = chunk.indexOf(NEWLINE) + 1;
  return Math.min(line_end > 0 ? line_end : chunk.length, most);
}
