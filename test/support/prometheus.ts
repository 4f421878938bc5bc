/**
 * A strict reader of the Prometheus text format, version 0.0.4: what it does not know it refuses. Besides the grammar it checks what promtool
 * does: HELP and TYPE before the samples and once, no series twice, counters that end in _total, histograms whose buckets grow to +Inf and
 * equal the count.
 */
const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(
  `^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? ([+-]?(?:\\d+\\.?\\d*(?:e[+-]?\\d+)?|Inf)|NaN|Nan)$`,
);

export interface Exposed {
  names: string[];
  value: (name: string, labels?: Record<string, string>) => number | undefined;
}

export function parse_prometheus(text: string): Exposed {
  if (!text.endsWith("\n")) throw new Error("the text does not end with a newline");
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const series = new Map<string, number>();
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "") continue;
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    if (comment) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (kind === "HELP") {
        if (helps.has(name)) throw new Error(`HELP twice: ${name}`);
        helps.add(name);
      } else {
        if (types.has(name)) throw new Error(`TYPE twice: ${name}`);
        if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw new Error(`no type: ${line}`);
        if ((rest === "counter") !== name.endsWith("_total")) throw new Error(`a counter ends in _total: ${line}`);
        types.set(name, rest);
        current = name;
      }
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (!sample) throw new Error(`not a sample: ${line}`);
    const [, name, labels = "", value] = sample as unknown as [string, string, string | undefined, string];
    const allowed =
      types.get(current) === "histogram" ? [`${current}_bucket`, `${current}_sum`, `${current}_count`] : [current];
    if (!allowed.includes(name)) throw new Error(`a sample that does not belong to ${current}: ${line}`);
    if (!helps.has(current)) throw new Error(`no HELP: ${line}`);
    const key = key_of(name, labels.match(new RegExp(LABEL, "g")) ?? []);
    if (series.has(key)) throw new Error(`twice: ${line}`);
    series.set(key, Number(value.replace("Inf", "Infinity")));
  }
  for (const [name, type] of types) if (type === "histogram") check_histogram(name, series);
  return {
    names: [...types.keys()],
    value: (name, labels = {}) =>
      series.get(
        key_of(
          name,
          Object.entries(labels).map(([label, one]) => `${label}="${one}"`),
        ),
      ),
  };
}

const key_of = (name: string, labels: string[]) => `${name}{${[...labels].sort().join(",")}}`;

/** Buckets come in the order of the text. */
function check_histogram(name: string, series: Map<string, number>): void {
  const last = new Map<string, number>();
  for (const [key, value] of series) {
    const bucket = new RegExp(`^${name}_bucket\\{(.*)\\}$`).exec(key);
    if (!bucket) continue;
    const labels = (bucket[1] as string).split(",");
    const rest = labels.filter((one) => !one.startsWith("le=")).join(",");
    if (value < (last.get(rest) ?? 0)) throw new Error(`buckets do not grow: ${key}`);
    last.set(rest, value);
    if (labels.includes('le="+Inf"') && value !== series.get(`${name}_count{${rest}}`))
      throw new Error(`+Inf is not the count: ${key}`);
  }
}
