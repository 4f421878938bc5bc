/**
 * Memory of hosts, from /proc/PID/smaps_rollup (proc_pid_smaps(5)). The kernel walks a process's pages for it, so the time for one round is bounded; whoever
 * had no turn keeps his last figure, and comes first the next time. A process that is stuck in the kernel can hold the read: one at a time is under way.
 */
import { readFile } from "node:fs/promises";
import { is_errno } from "../../contract/errors.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { is_alive } from "../../drivers/procfs.ts";

/** Time for one round, in ms; a scrape has 100 altogether. One read takes about 0.2. */
const BUDGET_MS = 40;

export interface Memory {
  rss: number;
  pss: number;
}

/** Reads one process; null when it is gone, another, or somebody else's. */
async function read_memory(ref: ProcessRef): Promise<Memory | null> {
  try {
    if (!is_alive(ref)) return null;
    const text = await readFile(`/proc/${ref.pid}/smaps_rollup`, "latin1");
    const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) * 1024;
    return { rss: bytes("Rss"), pss: bytes("Pss") };
  } catch (error) {
    if (is_errno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return null;
    throw error;
  }
}

export class HostMemory {
  private readonly known = new Map<string, { ref: ProcessRef; memory: Memory; turn: number }>();
  private turn = 0;
  private busy = false;

  constructor(
    private readonly read: (ref: ProcessRef) => Promise<Memory | null> = read_memory,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** What the hosts use together, as far as it is known, and of how many that is. */
  async measure(hosts: readonly ProcessRef[]): Promise<Memory & { measured: number }> {
    const wanted = new Map(hosts.map((ref) => [`${ref.pid}:${ref.start_time}`, ref]));
    for (const key of this.known.keys()) if (!wanted.has(key)) this.known.delete(key);
    const turn_of = (key: string) => this.known.get(key)?.turn ?? -1;
    const order = [...wanted].sort(([a], [b]) => turn_of(a) - turn_of(b));
    const ends = this.now() + BUDGET_MS;
    this.turn += 1;
    for (const [key, ref] of order) {
      const left = ends - this.now();
      if (left <= 0 || this.busy) break;
      this.busy = true;
      const reading = this.read(ref)
        .then((memory) => {
          if (memory) this.known.set(key, { ref, memory, turn: this.turn });
          else this.known.delete(key);
        })
        .finally(() => {
          this.busy = false;
        });
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, left);
      });
      await Promise.race([reading, late]).finally(() => clearTimeout(timer));
    }
    const sum = { rss: 0, pss: 0, measured: this.known.size };
    for (const { memory } of this.known.values()) {
      sum.rss += memory.rss;
      sum.pss += memory.pss;
    }
    return sum;
  }
}
