// Medians, ratios and growth. Pure.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** A row of a table: what was measured, in words for people and in full for programs. */
export function row(name, samples, { unit = "", digits = 1 } = {}) {
  if (samples.length === 0) return { name, figure: "no sample", median: null, low: null, high: null, unit, samples };
  const [low, high] = [Math.min(...samples), Math.max(...samples)];
  const figure = `${median(samples).toFixed(digits)} [${low.toFixed(digits)}–${high.toFixed(digits)}] ${unit}`.trim();
  return { name, figure, median: median(samples), low, high, unit, samples };
}

/**
 * Ordinary least squares of y on x: the slope with its standard error and 95 % interval. Whether it can be told from zero is
 * computed from Student's t, never said. Fewer than three points have a slope but no error.
 */
export function regression(points) {
  const n = points.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  const sxy = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  if (sxx === 0) return { slope: null, interval: null, distinguishable_from_0: null, points };
  const slope = sxy / sxx;
  const intercept = my - slope * mx;
  if (n < 3) return { slope, intercept, standard_error: null, interval: null, distinguishable_from_0: null, points };
  const residual = points.reduce((sum, [x, y]) => sum + (y - intercept - slope * x) ** 2, 0);
  const standard_error = Math.sqrt(residual / (n - 2) / sxx);
  const reach = t_97_5(n - 2) * standard_error;
  const interval = [slope - reach, slope + reach];
  // All points on one line: no error, and only a flat line is zero.
  const distinguishable_from_0 = interval[0] > 0 || interval[1] < 0;
  return { slope, intercept, standard_error, interval, distinguishable_from_0, points };
}

/** Neighbouring samples of a heap resemble each other, which would make the error look too small: means of batches do so less. */
export function batch_means(points, batches) {
  const size = Math.max(1, Math.floor(points.length / batches));
  const means = [];
  for (let at = 0; at + size <= points.length; at += size) {
    const batch = points.slice(at, at + size);
    means.push([mean(batch.map(([x]) => x)), mean(batch.map(([, y]) => y))]);
  }
  return means;
}

/** The growth as a row: `per` is what the slope is per ("cycle", "agent"). */
export function growth_row(name, fit, unit, per, digits = 3) {
  if (fit.slope === null) return { name, figure: "measured at one size only: no growth", growth: fit };
  const slope = `${fit.slope.toFixed(digits)} ${unit} per ${per}`;
  if (fit.interval === null) return { name, figure: `${slope} (two points: no error)`, growth: fit };
  const [low, high] = fit.interval.map((value) => value.toFixed(digits));
  const word = fit.distinguishable_from_0 ? "distinguishable from 0" : "not distinguishable from 0";
  return { name, figure: `${slope}, 95 % [${low}, ${high}]: ${word}`, growth: fit };
}

/** The 97.5 % quantile of Student's t. One and two degrees exactly; above, Cornish and Fisher's expansion (error below 1 %). */
function t_97_5(degrees) {
  if (degrees === 1) return 12.706;
  if (degrees === 2) return 4.303;
  const z = 1.959964;
  const g1 = (z ** 3 + z) / 4;
  const g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const g3 = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + g1 / degrees + g2 / degrees ** 2 + g3 / degrees ** 3;
}
