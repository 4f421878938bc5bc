/**
 * How far the daemon's heap may grow between two collections. V8 decides that by the memory of the machine: with plenty of it a heap of which 22 MB live is
 * collected when it has grown to 110, so that a daemon that works swells to 200 MB and back every few hundred agents (docs/performance.md). Memory
 * is what its agents need.
 */
import { setFlagsFromString } from "node:v8";

/** In percent of what lived after the last collection; V8 lets it grow by a few MB in any case. More collections cost less CPU than can be measured. */
const GROWTH_PERCENT = 50;

/** For the whole process, hence not the daemon's own business: tests run several in one. An option of V8's, which reads it at each collection. */
export function bound_heap_growth(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
