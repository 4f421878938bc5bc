// The supervisor's memory over many cycles, seen in two ways. PSS is what the machine pays: it holds garbage that V8 has not collected, so that it goes
// up and down by itself. What lives after a collection is what the program holds on to: only that can show a leak within minutes. A part of it is V8's: the code
// that it has compiled, which grows as long as there are functions that have not run often enough yet (heap-objects.mjs).
import { at_most } from "./goal.mjs";
import { batch_means, growth_row, regression } from "./stats.mjs";

/** The share of the cycles, from the first, that is not fitted: code is compiled and buffers grow to their size. */
const WARM_UP_SHARE = 0.2;
/** Fewer cycles than that have a slope, and no verdict: V8 may not have collected its whole heap once in them. */
const JUDGED_FROM = 1_000;

/** A share of the cycles, in words. */
const after_warm_up = `after the first ${100 * WARM_UP_SHARE} %`;

/**
 * Rows, charts and goals of the memory. `samples` are `{cycle, pss}` in MB, `collected` `{cycle, live, objects, code}` in bytes, each after a collection.
 */
export function memory_figures({ samples, collected, cycles }) {
  const settled = (list) => list.filter(({ cycle }) => cycle > cycles * WARM_UP_SHARE);
  const pss = regression(
    batch_means(
      settled(samples).map(({ cycle, pss: mb }) => [cycle, mb * 1024]),
      20,
    ),
  );
  const growth = (what) => regression(settled(collected).map((one) => [one.cycle, one[what] / 1024]));
  const objects = growth("objects");
  const judged = cycles >= JUDGED_FROM;
  return {
    rows: [
      growth_row(`supervisor: memory (PSS), ${after_warm_up}`, pss, "KB", "cycle"),
      growth_row(`supervisor: what lives after a collection, ${after_warm_up}`, growth("live"), "KB", "cycle"),
      growth_row("supervisor: of that, code that V8 has compiled", growth("code"), "KB", "cycle"),
      growth_row("supervisor: of that, everything else", objects, "KB", "cycle"),
      range_row(
        "supervisor: memory (PSS)",
        samples.map((one) => one.pss),
      ),
      range_row(
        "supervisor: what lives after a collection",
        collected.map((one) => one.live / 1024 / 1024),
      ),
      range_row(
        "supervisor: of that, everything but compiled code",
        collected.map((one) => one.objects / 1024 / 1024),
      ),
    ],
    charts: [
      { title: "supervisor: memory over the cycles", unit: "MB (PSS)", bars: series(samples, (one) => one.pss) },
      {
        title: "supervisor: what lives after a collection, over the cycles",
        unit: "MB",
        bars: series(collected, (one) => one.live / 1024 / 1024),
      },
    ],
    goals: [
      flat("supervisor: what lives, but code that V8 has compiled (KB a cycle)", objects, judged),
      flat(`supervisor: memory (PSS), ${after_warm_up} (KB a cycle)`, pss, judged),
    ],
    notes: [
      `the slope of the memory is judged from ${JUDGED_FROM} cycles up`,
      "what lives is the heap and what hangs on it, after a collection that the benchmark asks for when nothing runs; PSS has the garbage as well, which V8 collects when it thinks fit",
      "code and everything else are told apart by a snapshot of the heap; the records of some 180 ended agents are kept, so that as many expire as come",
    ],
  };
}

function flat(name, fit, judged) {
  const known = judged && fit.interval !== null;
  return {
    ...at_most(name, known ? fit.slope : null, 0),
    goal: "not distinguishable from 0, or falling",
    met: known && (fit.distinguishable_from_0 === false || fit.slope < 0),
  };
}

function range_row(name, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [begin, end] = [values[0], values.at(-1)];
  const figure = `${begin.toFixed(1)} → ${end.toFixed(1)} MB, between ${low.toFixed(1)} and ${high.toFixed(1)}`;
  return { name, figure, begin, end, low, high, samples: values };
}

/** Ten bars, each a batch's spread. */
function series(samples, value_of) {
  const size = Math.ceil(samples.length / 10);
  return Array.from({ length: Math.ceil(samples.length / size) }, (_, i) => {
    const batch = samples.slice(i * size, (i + 1) * size);
    const values = batch.map(value_of).sort((a, b) => a - b);
    return {
      label: `supervisor, cycle ${batch.at(-1).cycle}`,
      median: values[values.length >> 1],
      low: values[0],
      high: values.at(-1),
    };
  });
}
