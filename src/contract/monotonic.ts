/**
 * Milliseconds of a clock that nobody sets, from no particular moment: for spans of time. For whatever a host runs, because the first `performance.now()` of a
 * process loads Node's timeline of marks and measures, 0.1 MB that is garbage nearly at once (docs/performance.md).
 */
export const monotonic_ms = () => Number(process.hrtime.bigint()) / 1e6;
