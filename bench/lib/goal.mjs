/** A goal of the benchmark, met or missed by the figure alone. `null` (not measured) is missed. */
export const at_most = (name, value, limit, unit = "") => ({
  name,
  value,
  goal: `<= ${limit} ${unit}`.trim(),
  met: value !== null && value <= limit,
});
export const at_least = (name, value, limit, unit = "") => ({
  name,
  value,
  goal: `>= ${limit} ${unit}`.trim(),
  met: value !== null && value >= limit,
});
