/**
 * Waiting for a file system that may not answer (a dead network mount, a frozen disk). A call to it cannot be taken back: it holds one of the
 * four threads that Node has for files until the file system answers. So each place has few calls under way at a time, others wait their turn
 * without a thread, and whoever asked gets an error at a deadline. The four are not made more: their number is fixed before an ES module's
 * first line runs (tried: UV_THREADPOOL_SIZE set there changes nothing), and a dead file system would fill any number.
 *
 * At most 3 calls hang for one task's directory: its registry write, and 2 of these; and 1 outside the workspace.
 */
import { SupervisorError } from "../contract/errors.ts";

/** A busy disk answers an fsync within a second or two; past this the file system blocks. In ms. */
export const PATIENCE_MS = 10_000;

/** The error of one that did not. */
export function no_answer(path: string, what_now: string): SupervisorError {
  return new SupervisorError(
    "timeout",
    `${path}: the file system has not answered for ${PATIENCE_MS / 1000} s (a dead network mount, or a frozen disk?); ${what_now}`,
  );
}

/** The result of `work`, or `timeout` at the deadline; the work goes on, and its own failure is then nobody's. */
export async function within<T>(work: Promise<T>, error: () => Error, ms = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(error()), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls to one place, few at a time. Those that wait are begun in their order. */
export class Lane {
  private readonly began = new Set<{ at: number }>();
  private readonly waiting: ((call: { at: number }) => void)[] = [];

  constructor(private readonly width: number) {}

  /** True when whoever comes now waits behind calls that have not been answered for too long: better told at once. */
  get stuck(): boolean {
    const now = performance.now();
    return this.began.size >= this.width && [...this.began].every(({ at }) => now - at >= PATIENCE_MS);
  }

  /** Runs `work` when it is its turn, and gives its result. No deadline: see `within`. */
  async in_turn<T>(work: () => Promise<T>): Promise<T> {
    const call =
      this.began.size < this.width
        ? this.begin()
        : await new Promise<{ at: number }>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      this.began.delete(call);
      // Handed over here and now: the one that waited runs some turns later, and whoever comes between must find its place taken.
      this.waiting.shift()?.(this.begin());
    }
  }

  private begin(): { at: number } {
    const call = { at: performance.now() };
    this.began.add(call);
    return call;
  }
}

/** A lane for each directory. */
export class Lanes {
  private readonly lanes = new Map<string, Lane>();

  constructor(private readonly width: number) {}

  of(dir: string): Lane {
    let lane = this.lanes.get(dir);
    if (!lane) {
      lane = new Lane(this.width);
      this.lanes.set(dir, lane);
    }
    return lane;
  }
}

/** Files of tasks, except their registries, whose store has one write under way at most. */
export const TASK_FILES = new Lanes(2);
/** What a request names outside the workspace: directories and programs. */
export const OUTSIDE = new Lane(1);
