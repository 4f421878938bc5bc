/** `supervisor metrics`: how things stand, as a table. */
import type { Command } from "commander";
import pretty_bytes from "pretty-bytes";
import pretty_ms from "pretty-ms";
import type { MetricsAnswer } from "../../contract/metrics.ts";
import type { Context } from "../context.ts";
import { print, print_json, print_table } from "../output.ts";

export function metrics_command(program: Command, context: Context): void {
  program
    .command("metrics")
    .description("how things stand: agents, cleanups, lsof, memory, disk")
    .option("--process", "also the figures of the supervisor's own process")
    .option("--prometheus", "the text of /metrics, as Prometheus reads it")
    .action(async (options: { process?: boolean; prometheus?: boolean }) => {
      const client = await context.client();
      if (options.prometheus) {
        const stream = await client.stream("metrics");
        for await (const chunk of stream) process.stdout.write(chunk as Buffer);
        return;
      }
      const answer = await client.call("get_metrics", { query: { process: options.process } });
      if (context.json()) return print_json(answer);
      print_table(["METRIC", "FOR", "VALUE"], rows_of(answer));
      const { agents, clear, deferred, failed, bytes_logged, bytes_freed } = answer.receipts;
      print(`\nCounted since ${answer.since}, when this supervisor started.`);
      print(
        `All receipts so far: ${agents} (${clear} clear, ${deferred} deferred, ${failed} failed), ${pretty_bytes(bytes_logged)} logged, ${pretty_bytes(bytes_freed)} freed. Swept later: ${answer.swept.files} files, ${pretty_bytes(answer.swept.bytes)}.`,
      );
    });
}

function rows_of({ metrics }: MetricsAnswer): string[][] {
  return metrics.flatMap(({ name, type, values }) =>
    values.map(({ labels, value, count }) => [
      name.replace(/^supervisor_/, ""),
      Object.entries(labels)
        .map(([label, one]) => `${label}=${one}`)
        .join(" "),
      type === "histogram" ? `${count} × ${shown(name, value)}` : shown(name, value),
    ]),
  );
}

/** By the unit in the name. */
function shown(name: string, value: number): string {
  if (/_bytes(_total)?$/.test(name)) return pretty_bytes(value);
  if (/_duration_seconds$/.test(name)) return pretty_ms(value * 1000, { millisecondsDecimalDigits: 1 });
  if (/_ratio$/.test(name)) return `${(value * 100).toFixed(1)} %`;
  return String(value);
}
