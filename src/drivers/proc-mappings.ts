/**
 * What one process has mapped, from proc_pid_maps(5). Run by the thread that looks: a table may have to be waited for, since a process that waits for memory or for a
 * disk may keep its lock (mmap_lock, before Linux 6.17).
 */
import { closeSync, openSync, readSync } from "node:fs";

export interface Mapping {
  inode: bigint;
  /** `major:minor` of its file system, as in mountinfo. */
  device: string;
  path: string;
}

/** Used again for each table. Grows to the longest there is. */
let room = Buffer.allocUnsafe(256 * 1024);

/** The whole of a `maps` file, until the next is read; empty for who has no memory. */
export function read_mappings(place: string): Buffer {
  const file = openSync(`/proc/${place}/maps`, "r");
  try {
    for (let end = 0; ; ) {
      const got = readSync(file, room, end, room.length - end, null);
      if (got === 0) return room.subarray(0, end);
      end += got;
      if (room.length - end < 64 * 1024) room = Buffer.concat([room, Buffer.allocUnsafe(room.length)]);
    }
  } finally {
    closeSync(file);
  }
}

/** `from-to perms offset major:minor inode   path`, the inode 0 for what is no file. `wanted`: low halves of inode numbers. */
export function find_mapped(text: Buffer, wanted: ReadonlySet<number>): Mapping[] {
  const matches: Mapping[] = [];
  const end = text.length;
  const known = new Set<number>();
  for (let at = 0; at < end; ) {
    const begin = at;
    let spaces = 0;
    while (spaces < 4 && at < end) if (text[at++] === 32 /* space */) spaces++;
    let inode = 0;
    for (let digit = text[at] as number; digit >= 48 && digit <= 57; digit = text[++at] as number)
      inode = (inode * 10 + digit - 48) % 0x1_0000_0000;
    const line_ends = text.indexOf(10 /* newline */, at);
    const stop = line_ends < 0 ? end : line_ends;
    if (inode !== 0 && wanted.has(inode) && !known.has(inode)) {
      const match = parse_mapping(text.toString("utf8", begin, stop));
      if (!match) throw new Error("a mapping that is not as proc_pid_maps(5) has it");
      known.add(inode);
      matches.push(match);
    }
    at = stop + 1;
  }
  return matches;
}

function parse_mapping(line: string): Mapping | null {
  const found = /^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+)\s*(.*)$/s.exec(line);
  if (!found) return null;
  const [major, minor] = [found[1], found[2]].map((half) => Number.parseInt(half as string, 16));
  return { device: `${major}:${minor}`, inode: BigInt(found[3] as string), path: found[4] as string };
}
