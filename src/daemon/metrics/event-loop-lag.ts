/**
 * The event loop's delay, under prom-client's names. Sampling it wakes a process that has nothing to do (prom-client's own never stops: 50 wake-ups a second
 * were most of what an idle supervisor used), so it is sampled only while somebody reads it: from the first look on, until nobody has looked for a while.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, type Registry } from "prom-client";

/** How fine it is measured, in ms: half as many wake-ups as with the library's 10. */
const PRECISION_MS = 20;
/** Prometheus looks each 15 to 60 s; after this long without a look nobody does any more. In ms. */
const UNREAD_MS = 180_000;

const FIGURES: [name: string, help: string, read: (delay: IntervalHistogram) => number][] = [
  ["min", "The minimum recorded event loop delay.", (delay) => delay.min],
  ["max", "The maximum recorded event loop delay.", (delay) => delay.max],
  ["mean", "The mean of the recorded event loop delays.", (delay) => delay.mean],
  ["stddev", "The standard deviation of the recorded event loop delays.", (delay) => delay.stddev],
  ["p50", "The 50th percentile of the recorded event loop delays.", (delay) => delay.percentile(50)],
  ["p90", "The 90th percentile of the recorded event loop delays.", (delay) => delay.percentile(90)],
  ["p99", "The 99th percentile of the recorded event loop delays.", (delay) => delay.percentile(99)],
];

/** Registers `nodejs_eventloop_lag_{min,max,mean,…}_seconds`: since the look before; absent at the first, and after a long time without one. */
export function sample_lag_while_read(register: Registry, unread_ms = UNREAD_MS): void {
  const delay = monitorEventLoopDelay({ resolution: PRECISION_MS });
  let sampling: NodeJS.Timeout | null = null;
  const stop = () => {
    sampling = null;
    delay.disable();
  };
  const gauges = FIGURES.map(([name, help, read]) => {
    const gauge = new Gauge({
      name: `nodejs_eventloop_lag_${name}_seconds`,
      help,
      registers: [register],
      // The first of them takes the look for all: they are collected together.
      ...(name === "min" ? { collect: () => look() } : {}),
    });
    return { gauge, read };
  });
  const look = () => {
    for (const { gauge, read } of gauges) {
      gauge.remove({});
      if (delay.count > 0) gauge.set(read(delay) / 1e9);
    }
    delay.reset();
    if (sampling) sampling.refresh();
    else {
      delay.enable();
      sampling = setTimeout(stop, unread_ms).unref();
    }
  };
}
