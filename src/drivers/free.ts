/** What is free: disk of a file system (statfs(2)), memory of the machine (proc_meminfo(5)). */
import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";

/** Bytes that we may still write there; what is reserved for root is not counted. A dead network mount may never answer. */
export async function free_disk(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Bytes that can be had without swapping, as the kernel estimates it (MemAvailable); null where it does not say. */
export function available_memory(): number | null {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}
