import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { alert_cause } from "../../../src/contract/alert.ts";
import { make_instruments } from "../../../src/daemon/metrics/instruments.ts";

/** A metric as a row of the table in docs/metrics.md. */
function row(metric: unknown): string {
  const { name, type, labelNames, help } = metric as { name: string; type: string; labelNames: string[]; help: string };
  return `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(", ")} | ${help} |`;
}

const page = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

test("docs/metrics.md has every metric with its type, labels and meaning, and no other", () => {
  const rows = page("metrics.md")
    .split("\n")
    .filter((line) => /^\| `\w+` \| (counter|gauge|histogram) \|/.test(line));
  expect(rows).toEqual(make_instruments().register.getMetricsAsArray().map(row));
});

test("docs/alerts.md has every cause, and no other", () => {
  const causes = [...page("alerts.md").matchAll(/^\| `(\w+)` \| /gm)].map(([, cause]) => cause);
  expect(causes).toEqual(alert_cause.options);
});
