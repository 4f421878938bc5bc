/**
 * What V8 is told of a host (docs/performance.md, "What runs at idle"). By calls, and not on Node's command line: with any flag of V8's there, V8 takes nothing of what Node brings
 * along compiled of its own modules, and each host compiles 31 of them. A flag that another V8 does not know is said on stderr, and changes nothing.
 */
import { setFlagsFromString } from "node:v8";

/** Output after which a host's garbage is worth collecting: what a start leaves is less than that of so much. In bytes. */
const BUSY_BYTES = 64 * 1024;

let is_settled = false;

/**
 * Once all that is loaded is loaded. What a start leaves is kept: to collect it costs 25 ms and gives back no more than the collections themselves take. And functions that
 * idle, those of the end, stay compiled.
 */
export function settle_heap(): void {
  setFlagsFromString("--no-flush-bytecode");
  setFlagsFromString("--no-memory-reducer-for-small-heaps");
  setFlagsFromString("--no-minor-gc-task");
  is_settled = true;
}

/** The agent has printed so much by now: a busy host collects its garbage as V8 sees fit, also the first time that it idles. */
export function printed(bytes: number): void {
  if (!is_settled || bytes < BUSY_BYTES) return;
  is_settled = false;
  setFlagsFromString("--memory-reducer-for-small-heaps");
  setFlagsFromString("--minor-gc-task");
}
